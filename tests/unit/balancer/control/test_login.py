"""The page's login: the cookie's attributes, what other sites cannot do with it, and when it ends."""

from typing import Any

SELF = {"Origin": "http://c", "Host": "c"}


async def log_in(api: Any, token: str, **headers: str) -> Any:
    return await api.http.post("/v1/login", json={"token": token}, headers=headers)


async def operator(api: Any) -> Any:
    return (await api.ask("POST", "/v1/tokens", {"name": "alice", "role": "operate"})).json()


async def cookie(api: Any, token: str) -> dict[str, str]:
    answer = await log_in(api, token)
    assert answer.status_code == 200, answer.text
    api.http.cookies.clear()
    return {"Cookie": answer.headers["set-cookie"].split(";")[0]}


async def test_the_cookie_is_for_this_host_alone_and_not_for_scripts(api: Any) -> None:
    answer = await log_in(api, (await operator(api))["token"])
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name.startswith("__Host-sennit=")
    assert {"httponly", "secure", "samesite=strict", "path=/"} <= {each.lower() for each in attributes}
    assert "domain" not in answer.headers["set-cookie"].lower()
    assert answer.json() == {"name": "alice", "role": "operate", "edge_id": None, "by": "cookie"}


async def test_the_cookie_stands_for_its_token(api: Any) -> None:
    held = await cookie(api, (await operator(api))["token"])
    assert (await api.http.get("/v1/whoami", headers=held)).json()["name"] == "alice"
    assert (await api.http.get("/v1/tokens", headers=held)).status_code == 403


async def test_another_site_changes_nothing_with_the_cookie(api: Any) -> None:
    await api.enrol(1)
    held, body = await cookie(api, (await operator(api))["token"]), {"admin_state": "draining"}
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = await api.http.patch("/v1/edges/1", json=body, headers=held | origin)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:sennit:problem:cross-site")
    assert (await api.ask("GET", "/v1/edges/1")).json()["admin_state"] == "active"
    assert (await api.http.patch("/v1/edges/1", json=body, headers=held | SELF)).status_code == 200


async def test_another_site_cannot_log_in(api: Any) -> None:
    token = (await operator(api))["token"]
    assert (await log_in(api, token, Origin="https://evil.example")).status_code == 403


async def test_a_login_ends_by_logging_out_by_revocation_and_with_time(api: Any) -> None:
    made = await operator(api)
    first, second = await cookie(api, made["token"]), await cookie(api, made["token"])
    assert (await api.http.post("/v1/logout", headers=first)).status_code == 403
    assert (await api.http.post("/v1/logout", headers=first | SELF)).status_code == 204
    assert (await api.http.get("/v1/whoami", headers=first)).status_code == 401
    assert (await api.http.get("/v1/whoami", headers=second)).status_code == 200
    await api.ask("DELETE", f"/v1/tokens/{made['id']}")
    assert (await api.http.get("/v1/whoami", headers=second)).status_code == 401
    third = await cookie(api, (await operator(api))["token"])
    api.clock.seconds += 8 * 3600
    assert (await api.http.get("/v1/whoami", headers=third)).status_code == 401


async def test_edges_and_strangers_do_not_log_in(api: Any) -> None:
    await api.enrol(1)
    assert (await log_in(api, "credential-1")).status_code == 403
    assert (await log_in(api, "guess")).status_code == 401
