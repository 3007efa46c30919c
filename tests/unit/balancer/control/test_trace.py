"""`/v1/trace`: the forwarder's decision on the current table."""

from typing import Any

import pytest

QUERY = {"ingress": "edge2", "source": "10.2.0.2:40000", "destination": "203.0.113.1:10001"}


async def trace(api: Any, **changes: str) -> Any:
    return await api.ask("GET", "/v1/trace", params=QUERY | changes)


async def test_a_locator_is_forwarded_to_its_owner(api: Any) -> None:
    for number in (1, 2):
        await api.enrol(number)
        await api.heartbeat(number)
    answer = (await trace(api)).json()
    owner = {"id": 1, "name": "edge1", "state": "up", "tunnel_v4": "10.255.0.1"}
    assert (answer["reason"], answer["to"]) == ("forwarded", owner)
    assert answer["ingress"]["name"] == "edge2"
    assert answer["generation"] == (await api.table())["generation"]
    assert (await trace(api, ingress="1")).json()["reason"] == "own_locator"


async def test_an_address_locator_is_traced_too(api: Any) -> None:
    vip = {"name": "b", "v4": "198.18.7.0", "v6": "2001:db8:a::", "locator": "address"}
    await api.ask("POST", "/v1/vips", vip)
    for number in (1, 2):
        await api.enrol(number, vip="b")
        await api.heartbeat(number)
    for source, destination in (
        ("10.2.0.2:40000", "198.18.7.1:443"),
        ("[2001:db8::2]:40000", "[2001:db8:a::1]:443"),
    ):
        answer = (await trace(api, source=source, destination=destination)).json()
        assert (answer["reason"], answer["to"]["name"]) == ("forwarded", "edge1")


async def test_an_owner_that_is_down_gets_no_new_subflow_but_keeps_its_old_ones(api: Any) -> None:
    for number in (1, 2):
        await api.enrol(number)
        await api.heartbeat(number)
    await api.ask("PATCH", "/v1/edges/1", {"admin_state": "disabled"})
    assert (await trace(api)).json()["reason"] == "reset_owner_down"
    assert (await trace(api, established="true")).json()["reason"] == "forwarded"


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"ingress": "stranger"}, 404, "ingress"),
        ({"source": "10.2.0.2"}, 422, "source"),
        ({"destination": "203.0.113.1:99999"}, 422, "destination"),
        ({"destination": "192.0.2.1:443"}, 422, "destination"),
    ],
)
async def test_what_cannot_be_traced_is_named(
    api: Any, changes: dict[str, str], status: int, field: str
) -> None:
    await api.enrol(2)
    answer = await trace(api, **changes)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field)


async def test_an_edge_does_not_learn_the_network_from_it(api: Any) -> None:
    await api.enrol(2)
    answer = await api.ask("GET", "/v1/trace", params=QUERY, token="credential-2")
    assert answer.status_code == 403
