"""Enrolment: who gets an id, once, and who does not."""

import hashlib
from typing import Any

import pytest


async def test_an_edge_enrols_and_gets_an_id_of_its_own(api: Any) -> None:
    first, second = await api.enrol(1), await api.enrol(2)
    assert (first.status_code, second.status_code) == (201, 201)
    assert [each.json()["edge"]["id"] for each in (first, second)] == [1, 2]
    assert first.json()["vip"]["v4"] == "203.0.113.1"


async def test_an_enrolment_token_is_good_once(api: Any) -> None:
    token = await api.token()
    await api.enrol(1, token)
    answer = await api.enrol(2, token)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:sennit:problem:enrolment-token-used")


async def test_an_enrolment_token_expires(api: Any) -> None:
    token = await api.token(expires_seconds=60)
    api.clock.seconds += 60
    assert (await api.enrol(1, token)).json()["type"] == "urn:sennit:problem:enrolment-token-expired"


async def test_the_same_request_again_gives_the_same_edge(api: Any) -> None:
    token = await api.token()
    answers = [await api.enrol(1, token), await api.enrol(1, token), await api.enrol(1, "credential-1")]
    assert [each.status_code for each in answers] == [201, 200, 200]
    assert {each.json()["edge"]["id"] for each in answers} == {1}


async def test_a_used_token_repeats_its_enrolment_and_moves_nothing(api: Any) -> None:
    token = await api.token()
    await api.enrol(1, token)
    for change in (
        {"tunnel_v4": "10.255.9.9"},
        {"tunnel_v6": "fd00::9"},
        {"tunnel_v4": None, "tunnel_v6": "fd00::9"},
        {"outside": "192.0.2.9"},
        {"peer_key": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="},
    ):
        assert (await api.enrol(1, token, **change)).status_code == 401
    assert (await api.edge(1))["tunnel_v4"] == "10.255.0.1"
    assert (await api.enrol(1, token)).status_code == 200


async def test_answers_with_secrets_are_not_to_be_stored(api: Any) -> None:
    for path, body in (("/v1/enrolment-tokens", {}), ("/v1/tokens", {"name": "a", "role": "read"})):
        assert (await api.ask("POST", path, body)).headers["cache-control"] == "no-store"


async def test_knowing_the_hash_of_a_credential_is_not_enough(api: Any) -> None:
    await api.enrol(1)
    assert (await api.enrol(1, await api.token())).status_code == 401


@pytest.mark.parametrize(
    ("change", "field"), [({"name": "edge1"}, "name"), ({"tunnel_v4": "10.255.0.1"}, "tunnel_v4")]
)
async def test_names_and_tunnel_addresses_belong_to_one_edge(api: Any, change: Any, field: str) -> None:
    await api.enrol(1)
    token = await api.token()
    answer = await api.enrol(2, token, **change)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, field)
    assert (await api.enrol(2, token)).status_code == 201, "a refusal must not use up the token"


async def test_a_token_can_be_bound_to_a_name_and_an_id(api: Any) -> None:
    token = await api.token(edge_name="edge5", edge_id=700)
    assert (await api.enrol(1, token)).status_code == 403
    assert (await api.enrol(5, token)).json()["edge"]["id"] == 700


async def test_no_id_beyond_the_last_port_of_the_locator(api: Any) -> None:
    vip = {"name": "tight", "v4": "203.0.113.2", "id_port_base": 65534}
    assert (await api.ask("POST", "/v1/vips", vip)).status_code == 201
    assert (await api.enrol(1, vip="tight")).json()["edge"]["id"] == 1
    assert (await api.enrol(2, vip="tight")).json()["type"] == "urn:sennit:problem:no-edge-id-left"


async def test_ids_of_address_locators_fit_into_every_address_and_are_never_the_vip_itself(api: Any) -> None:
    vip = {"name": "small", "v4": "198.18.7.1", "v6": "2001:db8:a::2", "locator": "address"}
    assert (await api.ask("POST", "/v1/vips", vip)).status_code == 201
    assert (await api.table())["vips"][-1]["locator"] == "address"
    enrolled = await api.enrol(1, vip="small")
    assert (enrolled.json()["edge"]["id"], enrolled.json()["vip"]["locator"]) == (3, "address")
    for wanted, status in ((1, 409), (2, 409), (256, 409), (255, 201)):
        assert (
            await api.enrol(1000 + wanted, await api.token(edge_id=wanted), vip="small")
        ).status_code == status


async def test_no_vip_lies_among_the_address_locators_of_another(api: Any) -> None:
    by_address = {"name": "b", "v4": "198.18.7.0", "locator": "address"}
    assert (await api.ask("POST", "/v1/vips", by_address)).status_code == 201
    mixed = {"name": "m", "v4": "203.0.113.77", "v6": "2001:db8:e::", "locator": "mixed"}
    assert (await api.ask("POST", "/v1/vips", mixed)).status_code == 201
    for vip in ({"v4": "198.18.7.9"}, {"v4": "203.0.113.9", "locator": "address"}, {"v6": "2001:db8:e::9"}):
        refused = await api.ask("POST", "/v1/vips", {"name": "c", **vip})
        assert refused.json()["type"] == "urn:sennit:problem:vip-prefix-taken"
    assert (await api.ask("POST", "/v1/vips", {"name": "c", "v4": "203.0.113.9"})).status_code == 201


async def test_an_edge_may_be_named_as_its_host(api: Any) -> None:
    enrolled = await api.enrol(1, await api.token(edge_name="ams1.example.net"), name="ams1.example.net")
    assert enrolled.json()["edge"]["name"] == "ams1.example.net"
    for name in ("ams1..net", ".net", "ams1.", "a" * 64):
        refused = await api.ask("POST", "/v1/enrolment-tokens", {"edge_name": name})
        assert refused.status_code == 422


async def test_a_freed_id_rests_before_it_is_given_again(api: Any) -> None:
    await api.enrol(1)
    assert (await api.ask("DELETE", "/v1/edges/1")).status_code == 204
    assert (await api.enrol(2)).json()["edge"]["id"] == 2
    assert (await api.enrol(3, await api.token(edge_id=1))).json()["errors"][0]["field"] == "edge_id"
    api.clock.seconds += 3600
    assert (await api.enrol(3)).json()["edge"]["id"] == 1


async def test_a_removed_edge_gets_410(api: Any) -> None:
    await api.enrol(1)
    await api.ask("DELETE", "/v1/edges/1")
    answers = [await api.heartbeat(1), await api.enrol(1, "credential-1"), await api.enrol(1)]
    assert [each.status_code for each in answers] == [410, 410, 410]


async def test_secrets_are_not_in_the_database(api: Any, stored: Any) -> None:
    token = await api.token()
    await api.enrol(1, token)
    assert token not in stored()
    assert hashlib.sha256(token.encode()).hexdigest() in stored()
