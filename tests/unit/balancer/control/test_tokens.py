"""Named tokens: what each role may do, rotation, expiry, and that only hashes are kept."""

from typing import Any

import pytest

# method, path, body, and the least role that may do it
OPERATIONS = [
    ("GET", "/v1/edges", None, "read"),
    ("GET", "/v1/edges/1", None, "read"),
    ("GET", "/v1/sites", None, "read"),
    ("GET", "/v1/vips", None, "read"),
    ("GET", "/v1/table", None, "read"),
    ("GET", "/v1/whoami", None, "read"),
    ("PATCH", "/v1/edges/1", {"admin_state": "draining"}, "operate"),
    ("GET", "/v1/audit", None, "operate"),
    ("POST", "/v1/sites", {"name": "b"}, "admin"),
    ("PATCH", "/v1/sites/a", {"description": "x"}, "admin"),
    ("POST", "/v1/vips", {"name": "second", "v4": "203.0.113.2"}, "admin"),
    ("DELETE", "/v1/vips/second", None, "admin"),
    ("GET", "/v1/tokens", None, "admin"),
    ("POST", "/v1/tokens", {"name": "more", "role": "read"}, "admin"),
    ("GET", "/v1/enrolment-tokens", None, "admin"),
    ("POST", "/v1/enrolment-tokens", {}, "admin"),
    ("DELETE", "/v1/edges/1", None, "admin"),
]
ROLES = ("read", "operate", "admin")


async def make(api: Any, name: str, role: str, **more: Any) -> Any:
    answer = await api.ask("POST", "/v1/tokens", {"name": name, "role": role, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_each_role_may_do_what_it_is_for_and_no_more(api: Any) -> None:
    await api.enrol(1)
    tokens = {role: (await make(api, f"a-{role}", role))["token"] for role in ROLES}
    for method, path, body, least in OPERATIONS:
        for role in ROLES:
            status = (await api.ask(method, path, body, token=tokens[role])).status_code
            allowed = ROLES.index(role) >= ROLES.index(least)
            assert (status < 400) if allowed else (status == 403), (method, path, role, status)


async def test_an_edges_token_is_good_for_its_edge_only(api: Any) -> None:
    await api.enrol(1)
    await api.enrol(2)
    token = (await make(api, "edge1-next", "edge", edge_id=1))["token"]
    lease = {"health": "ok"}
    assert (await api.ask("PUT", "/v1/edges/1/lease", lease, token=token)).status_code == 200
    assert (await api.ask("PUT", "/v1/edges/2/lease", lease, token=token)).status_code == 403
    assert (await api.ask("GET", "/v1/edges", token=token)).status_code == 403


async def test_an_operators_token_keeps_no_lease(api: Any) -> None:
    await api.enrol(1)
    token = (await make(api, "alice", "operate"))["token"]
    answer = await api.ask("PUT", "/v1/edges/1/lease", {"health": "ok"}, token=token)
    assert (answer.status_code, await api.states()) == (403, {1: "down"})


async def test_an_edge_comes_back_with_the_token_that_replaced_its_credential(api: Any) -> None:
    await api.enrol(1)
    new = await make(api, "edge1-next", "edge", edge_id=1)
    import hashlib

    changed = hashlib.sha256(new["token"].encode()).hexdigest()
    answer = await api.enrol(1, new["token"], credential_sha256=changed)
    assert (answer.status_code, answer.json()["edge"]["id"]) == (200, 1)


async def test_two_tokens_of_a_name_are_valid_at_once_and_a_third_is_refused(api: Any) -> None:
    old, new = await make(api, "grafana", "read"), await make(api, "grafana", "read")
    for each in (old, new):
        assert (await api.ask("GET", "/v1/edges", token=each["token"])).status_code == 200
    third = await api.ask("POST", "/v1/tokens", {"name": "grafana", "role": "read"})
    assert (third.status_code, third.json()["errors"][0]["field"]) == (409, "name")
    assert (await api.ask("DELETE", f"/v1/tokens/{old['id']}")).status_code == 204
    assert (await api.ask("GET", "/v1/edges", token=old["token"])).status_code == 401
    assert (await api.ask("GET", "/v1/edges", token=new["token"])).status_code == 200
    await make(api, "grafana", "read")


async def test_a_token_expires(api: Any) -> None:
    token = (await make(api, "visitor", "read", expires_seconds=60))["token"]
    assert (await api.ask("GET", "/v1/edges", token=token)).status_code == 200
    api.clock.seconds += 60
    assert (await api.ask("GET", "/v1/edges", token=token)).status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "x", "role": "root"}, 422, "role"),
        ({"name": "x", "role": "edge"}, 422, "edge_id"),
        ({"name": "x", "role": "read", "edge_id": 1}, 422, "edge_id"),
        ({"name": "x", "role": "edge", "edge_id": 9}, 404, "edge_id"),
        ({"name": "X Y", "role": "read"}, 422, "name"),
        ({"name": "x", "role": "read", "expires_seconds": 1}, 422, "expires_seconds"),
    ],
)
async def test_a_token_that_makes_no_sense_is_refused_by_field(
    api: Any, body: Any, status: int, field: str
) -> None:
    answer = await api.ask("POST", "/v1/tokens", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field)
    assert (await api.ask("GET", "/v1/tokens")).json()["items"] == []


async def test_the_secret_is_shown_once_and_never_stored(api: Any, stored: Any) -> None:
    token = (await make(api, "alice", "operate"))["token"]
    assert token not in (await api.ask("GET", "/v1/tokens")).text
    assert token not in (await api.ask("GET", "/v1/audit")).text
    assert token not in stored()
