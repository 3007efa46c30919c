"""What an enrolled edge reports of itself: pending, until an operator accepts or refuses it."""

import base64
from typing import Any

import pytest

KEY, OTHER_KEY = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
ABOUT_AGENT = {"peer_key": KEY, "outside": "192.0.2.7"}
MOVED = {"tunnel_v4": "10.255.9.9"}
CHANGES = [
    MOVED,
    {"tunnel_v6": "fd00::9"},
    {"tunnel_v4": None, "tunnel_v6": "fd00::9"},
    {"peer_key": OTHER_KEY},
    {"peer_key": None},
    {"outside": "192.0.2.8"},
    {"outside": None},
    {"outside": "2001:db8::7"},
]


def wanted(edge: dict[str, Any]) -> dict[str, Any]:
    """What an operator sends who accepts what is shown."""
    return {name: value for name, value in edge["pending"].items() if name != "reported_at"}


async def audited(api: Any) -> list[tuple[str, str, str]]:
    entries = (await api.ask("GET", "/v1/audit")).json()["items"]
    return [(entry["what"], entry["who"], entry["detail"]) for entry in entries]


async def published(api: Any) -> dict[str, Any]:
    (edge,) = (await api.table())["edges"]
    return dict(edge)


async def come_back(api: Any, **changes: Any) -> Any:
    return await api.enrol(1, "credential-1", **ABOUT_AGENT | changes)


async def test_what_an_edge_reports_with_its_one_time_token_is_published(api: Any) -> None:
    enrolled = await api.enrol(1, **ABOUT_AGENT)
    assert enrolled.json()["edge"]["pending"] is None
    entry = await published(api)
    assert (entry["tunnel_v4"], entry["peer_key"], entry["outside"]) == ("10.255.0.1", KEY, "192.0.2.7")


@pytest.mark.parametrize("change", CHANGES)
async def test_the_credential_alone_moves_no_edge(api: Any, change: dict[str, Any]) -> None:
    await api.enrol(1, **ABOUT_AGENT)
    before = await api.table()
    answer = await come_back(api, **change)
    assert answer.status_code == 200
    assert await api.table() == before
    for edge in (answer.json()["edge"], await api.edge(1)):
        assert {name: edge["pending"][name] for name in change} == change
        assert (edge["tunnel_v4"], edge["peer_key"], edge["outside"]) == ("10.255.0.1", KEY, "192.0.2.7")
    what, who, detail = (await audited(api))[0]
    assert (what, who) == ("edge.pending", "edge1")
    assert all(f"-> {value or 'none'}" in detail for value in change.values())


@pytest.mark.parametrize("change", CHANGES)
async def test_an_operator_accepts_it(api: Any, change: dict[str, Any]) -> None:
    await api.enrol(1, **ABOUT_AGENT)
    edge = (await come_back(api, **change)).json()["edge"]
    shown = await api.ask("POST", "/v1/edges/1/pending", wanted(edge), headers={"Sennit-Reason": "new rack"})
    assert shown.status_code == 200
    assert shown.json()["pending"] is None
    entry = await published(api)
    assert {name: entry.get(name) for name in change} == change
    assert (await audited(api))[0][0] == "edge.accept"
    assert (await come_back(api, **change)).json()["edge"]["pending"] is None


async def test_an_operator_refuses_it_and_the_edge_may_report_it_again(api: Any) -> None:
    await api.enrol(1, **ABOUT_AGENT)
    await come_back(api, **MOVED)
    assert (await api.ask("DELETE", "/v1/edges/1/pending")).status_code == 204
    assert (await api.edge(1))["pending"] is None
    assert (await published(api))["tunnel_v4"] == "10.255.0.1"
    assert (await audited(api))[0] == ("edge.refuse", "admin", "tunnel_v4 10.255.0.1 -> 10.255.9.9")
    assert (await come_back(api, **MOVED)).json()["edge"]["pending"]["tunnel_v4"] == "10.255.9.9"


async def test_only_what_the_operator_has_seen_is_accepted(api: Any) -> None:
    await api.enrol(1, **ABOUT_AGENT)
    seen = (await come_back(api, **MOVED)).json()["edge"]
    await come_back(api, tunnel_v4="10.255.9.66")
    answer = await api.ask("POST", "/v1/edges/1/pending", wanted(seen))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:sennit:problem:pending-changed")
    assert "10.255.9.66" in answer.json()["detail"]
    etag = (await api.ask("GET", "/v1/edges/1")).headers["etag"]
    await come_back(api, tunnel_v4="10.255.9.67")
    for method in ("POST", "DELETE"):
        body = wanted(seen) if method == "POST" else None
        answer = await api.ask(method, "/v1/edges/1/pending", body, headers={"If-Match": etag})
        assert answer.status_code == 412
    assert (await published(api))["tunnel_v4"] == "10.255.0.1"


async def test_an_edge_that_reports_again_what_is_accepted_has_nothing_pending(api: Any) -> None:
    await api.enrol(1, **ABOUT_AGENT)
    await come_back(api, **MOVED)
    assert (await come_back(api)).json()["edge"]["pending"] is None
    for method, body in (("POST", {"tunnel_v4": "10.255.9.9"}), ("DELETE", None)):
        answer = await api.ask(method, "/v1/edges/1/pending", body)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:sennit:problem:nothing-pending")


async def test_a_report_that_is_repeated_is_noted_once(api: Any) -> None:
    await api.enrol(1, **ABOUT_AGENT)
    first = (await come_back(api, **MOVED)).json()["edge"]["pending"]
    api.clock.seconds += 60
    assert (await come_back(api, **MOVED)).json()["edge"]["pending"] == first
    assert [what for what, _, _ in await audited(api)].count("edge.pending") == 1


async def test_an_edge_of_an_earlier_release_registers_its_key_and_does_not_move_by_it(api: Any) -> None:
    await api.enrol(1)
    answer = await come_back(api, **MOVED)
    entry = await published(api)
    assert (entry["peer_key"], entry["outside"], entry["tunnel_v4"]) == (KEY, "192.0.2.7", "10.255.0.1")
    assert answer.json()["edge"]["pending"]["tunnel_v4"] == "10.255.9.9"
    await come_back(api, peer_key=OTHER_KEY)
    assert (await published(api))["peer_key"] == KEY


async def test_an_address_that_another_edge_has_meanwhile_is_not_accepted(api: Any) -> None:
    await api.enrol(1, **ABOUT_AGENT)
    seen = (await come_back(api, **MOVED)).json()["edge"]
    assert (await api.enrol(2, tunnel_v4="10.255.9.9")).status_code == 201
    answer = await api.ask("POST", "/v1/edges/1/pending", wanted(seen))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "tunnel_v4")


async def test_a_re_enrolment_by_an_operator_s_token_moves_the_edge(api: Any) -> None:
    await api.enrol(1, **ABOUT_AGENT)
    await come_back(api, **MOVED)
    token = await api.token(edge_name="edge1", replaces=True)
    new = {"credential_sha256": "ab" * 32, "peer_key": OTHER_KEY, "tunnel_v4": "10.255.9.10"}
    assert (await api.enrol(1, token, **new)).status_code == 201
    entry = await published(api)
    assert (entry["peer_key"], entry["tunnel_v4"]) == (OTHER_KEY, "10.255.9.10")
    assert (await api.edge(1))["pending"] is None
    assert (await api.enrol(1, token, **new)).status_code == 200, "the same request again"


@pytest.mark.parametrize("role", ["read", "edge"])
async def test_neither_a_reader_nor_the_edge_itself_decides(api: Any, role: str) -> None:
    await api.enrol(1, **ABOUT_AGENT)
    seen = (await come_back(api, **MOVED)).json()["edge"]
    token = "credential-1"
    if role == "read":
        token = (await api.ask("POST", "/v1/tokens", {"name": "a", "role": "read"})).json()["token"]
    for method, body in (("POST", wanted(seen)), ("DELETE", None)):
        assert (await api.ask(method, "/v1/edges/1/pending", body, token=token)).status_code == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"peer_key": "A" * 43}, "peer_key"),
        ({"peer_key": base64.b64encode(bytes(31)).decode()}, "peer_key"),
        ({"outside": "127.0.0.1"}, "outside"),
        ({"outside": "::ffff:10.0.0.1"}, "outside"),
        ({"outside": "name"}, "outside"),
        ({"outside": 7}, "outside"),
    ],
)
async def test_what_makes_no_sense_is_refused(api: Any, change: dict[str, Any], field: str) -> None:
    answer = await api.enrol(1, **change)
    assert answer.status_code == 422
    assert any(field in each["field"] or field in each["message"] for each in answer.json()["errors"])


async def test_an_address_of_a_vip_is_no_outside_address(api: Any) -> None:
    answer = await api.enrol(1, outside="203.0.113.1")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "outside")


async def test_what_is_pending_survives_a_restart(restartable: Any, vip: dict[str, Any]) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        await api.enrol(1, **ABOUT_AGENT)
        seen = (await come_back(api, **MOVED)).json()["edge"]
    async with restartable() as api:
        assert (await api.edge(1))["pending"] == seen["pending"]
        assert (await published(api))["peer_key"] == KEY
        assert (await api.ask("POST", "/v1/edges/1/pending", wanted(seen))).status_code == 200
        assert (await published(api))["tunnel_v4"] == "10.255.9.9"
