"""Rings of sites: the table says who takes first subflows, and who did before the last change."""

import base64
from typing import Any

import pytest

from balancer.control.table.rings import next_ring, published_members
from balancer.model.signature import verify
from balancer.model.table import Member, Site

ONE, TWO = {"id": 1, "weight": 1}, {"id": 2, "weight": 1}


def none(member: dict[str, int]) -> dict[str, int]:
    return member | {"weight": 0}


async def ring(api: Any, name: str = "a") -> dict[str, Any] | None:
    sites = {site["name"]: site for site in (await api.table()).get("sites", [])}
    return sites.get(name)


@pytest.fixture
async def site(api: Any) -> Any:
    """A site with a ring over edges 1 and 2, both alive."""
    for number in (1, 2):
        await api.enrol(number)
        await api.heartbeat(number)
    assert (await api.ask("PATCH", "/v1/sites/a", {"ring": True})).status_code == 200
    return api


def test_an_edge_without_weight_takes_nothing_unless_all_are() -> None:
    nominal = [Member(2, 3), Member(1, 5)]
    assert published_members(nominal, {1}) == (Member(1, 5), Member(2, 0))
    assert published_members(nominal, ()) == (Member(1, 5), Member(2, 3))
    assert published_members([Member(1, 0), Member(2, 0)], {2}) == (Member(1, 0), Member(2, 1))
    assert published_members([], {1}) == ()


def test_the_list_before_is_kept_until_there_is_another() -> None:
    first, second = (Member(1),), (Member(1), Member(2))
    begun = next_ring("a", first, None)
    assert begun is not None
    seed = begun.seed
    assert begun == Site("a", first, (), seed, seed)
    assert next_ring("a", first, begun) is begun
    assert next_ring("a", second, begun) == Site("a", second, first, seed, seed)
    assert next_ring("a", (), begun) is None


def test_a_new_seed_leaves_the_members_and_remembers_the_seed_before() -> None:
    both = (Member(1), Member(2))
    begun = next_ring("a", both, None)
    assert begun is not None
    changed = next_ring("a", both, begun, new_seed=True)
    assert changed is not None
    assert (changed.current, changed.previous, changed.previous_seed) == (both, both, begun.seed)
    assert changed.seed not in (None, begun.seed)
    public = Site("a", both)  # of a release without secrets
    assert next_ring("a", both, public) is public
    secret = next_ring("a", both, public, new_seed=True)
    assert secret is not None
    assert (len(secret.seed or ""), secret.previous_seed) == (16, None)


async def test_only_edges_are_given_the_seed(
    site: Any, stored: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await site.ask("PATCH", "/v1/sites/a", {"new_seed": True})).status_code == 200
    kept = site.plane.watch.live.entries["site", "a"]
    seeds = kept.seed, kept.previous_seed
    for token in [f"credential-{number}" for number in (1, 2)]:
        answer = (await site.ask("GET", "/v1/table", token=token)).json()
        (entry,) = answer["sites"]
        assert (entry["seed"], entry["previous_seed"]) == seeds
        signature = base64.b64decode(answer.pop("signature"))
        verify(site.plane.watch.live.public_key, answer, signature)
        since = (await site.ask("GET", f"/v1/table?since={answer['generation'] - 1}", token=token)).json()
        assert since["sites"] == [entry]
    newest = (await site.table())["generation"]
    paths = (
        "/v1/table", f"/v1/table?since={newest - 1}", "/v1/table/generations", "/v1/sites", "/v1/audit", "/v1/metrics",
        "/v1/overview", "/v1/freeze", "/", "/v1/health", "/v1/edges", "/v1/trace?ingress=edge2&source=10.2.0.2:40000"
        "&destination=203.0.113.1:443",
    )  # fmt: skip
    await site.ask("PUT", "/v1/freeze", {})
    shown = [(await site.ask("GET", path)).text for path in paths]
    for text in (*shown, repr(kept), caplog.text):
        assert not any(seed in text for seed in seeds)
    assert "sites" in shown[0]


async def test_a_seed_is_of_a_ring(api: Any) -> None:
    await api.enrol(1)
    refused = await api.ask("PATCH", "/v1/sites/a", {"new_seed": True})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:sennit:problem:no-ring")


async def test_a_site_has_a_ring_only_where_the_operator_says_so(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    assert await ring(api) is None
    await api.ask("PATCH", "/v1/sites/a", {"ring": True})
    assert await ring(api) == {"name": "a", "current": [ONE], "previous": []}
    await api.ask("PATCH", "/v1/sites/a", {"ring": False})
    assert await ring(api) is None


async def test_a_weight_is_its_share(site: Any) -> None:
    await site.ask("PATCH", "/v1/edges/2", {"weight": 3})
    assert await ring(site) == {"name": "a", "current": [ONE, TWO | {"weight": 3}], "previous": [ONE, TWO]}
    assert (await site.edge(2))["weight"] == 3
    for wrong in (-1, 1_000_001, 1.5, True):
        assert (await site.ask("PATCH", "/v1/edges/2", {"weight": wrong})).status_code == 422


async def test_a_drained_edge_takes_no_first_subflow_and_one_that_comes_back_does(site: Any) -> None:
    await site.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"})
    assert await ring(site) == {"name": "a", "current": [none(ONE), TWO], "previous": [ONE, TWO]}
    await site.ask("PATCH", "/v1/edges/1", {"admin_state": "active"})
    assert await ring(site) == {"name": "a", "current": [ONE, TWO], "previous": [none(ONE), TWO]}


async def test_a_dead_edge_takes_no_first_subflow(site: Any) -> None:
    await site.heartbeat(2, health="down")
    assert await ring(site) == {"name": "a", "current": [ONE, none(TWO)], "previous": [ONE, TWO]}
    await site.ask("DELETE", "/v1/edges/2")
    assert await ring(site) == {"name": "a", "current": [ONE], "previous": [ONE, none(TWO)]}


async def test_an_edge_that_moves_leaves_one_ring_and_joins_the_other(site: Any) -> None:
    await site.ask("POST", "/v1/sites", {"name": "b", "ring": True})
    await site.ask("PATCH", "/v1/edges/2", {"site": "b"})
    assert await ring(site) == {"name": "a", "current": [ONE], "previous": [ONE, TWO]}
    assert await ring(site, "b") == {"name": "b", "current": [TWO], "previous": []}


async def test_a_ring_is_never_over_edges_of_two_vips(api: Any, vip: Any) -> None:
    await api.ask("POST", "/v1/vips", vip | {"name": "other", "v4": "203.0.113.2"})
    await api.enrol(1, vip="main")
    assert (await api.enrol(2, vip="other")).status_code == 201
    refused = await api.ask("PATCH", "/v1/sites/a", {"ring": True})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:sennit:problem:ring-of-several-vips")
    await api.ask("POST", "/v1/sites", {"name": "b", "ring": True})
    await api.enrol(3, vip="main", site="b")
    assert (await api.enrol(4, vip="other", site="b")).status_code == 409
    assert (await api.ask("PATCH", "/v1/edges/2", {"site": "b"})).status_code == 409
    assert (await api.edge(2))["site"] == "a"


async def test_a_held_table_lets_the_dead_out_of_the_ring_and_no_edge_in(site: Any) -> None:
    await site.ask("PUT", "/v1/freeze", {})
    await site.ask("PATCH", "/v1/edges/1", {"weight": 7})
    await site.heartbeat(2, health="down")
    assert (await ring(site))["current"] == [ONE, none(TWO)]  # type: ignore[index]
    await site.heartbeat(2)
    assert (await ring(site))["current"] == [ONE, TWO]  # type: ignore[index]
    await site.ask("DELETE", "/v1/freeze")
    assert (await ring(site))["current"] == [{"id": 1, "weight": 7}, TWO]  # type: ignore[index]


async def test_an_earlier_ring_comes_back_with_its_generation(site: Any) -> None:
    before = (await site.table())["generation"]
    await site.ask("PATCH", "/v1/edges/2", {"weight": 9})
    await site.ask("POST", "/v1/table/rollback", {"generation": before})
    assert (await ring(site))["current"] == [ONE, TWO]  # type: ignore[index]


async def test_what_tunnels_to_an_edge_look_like_is_in_the_table(api: Any) -> None:
    await api.enrol(1)
    assert (await api.table())["edges"][0]["encapsulation"] == "ipip"
    answer = await api.ask("PATCH", "/v1/edges/1", {"encapsulation": "gue", "reason": "ECMP"})
    assert answer.json()["encapsulation"] == "gue"
    assert (await api.table())["edges"][0]["encapsulation"] == "gue"
    newest = (await api.ask("GET", "/v1/table/generations?limit=1")).json()["items"][0]
    assert newest["changes"] == ["edge1 ipip -> gue"]
    assert (await api.ask("PATCH", "/v1/edges/1", {"encapsulation": "vxlan"})).status_code == 422


async def test_a_ring_survives_a_restart(restartable: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        await api.enrol(1)
        await api.enrol(2)
        await api.ask("PATCH", "/v1/sites/a", {"ring": True})
        await api.heartbeat(1)
        before = await api.table()
    async with restartable() as api:
        assert (await api.table())["sites"] == before["sites"]
