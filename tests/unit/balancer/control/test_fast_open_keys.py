"""Fast Open keys: two at most, named in every answer to a heartbeat, readable by edges and admins only."""

from typing import Any

import pytest

ROTATE = ("POST", "/v1/fast-open-keys", {"reason": "yearly"})


async def keys(api: Any, token: str = "credential-1") -> list[tuple[int, str]]:
    answer = await api.ask("GET", "/v1/fast-open-keys", token=token)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    return [(each["id"], each["key"]) for each in answer.json()["items"]]


async def test_a_rotation_keeps_the_key_before_and_drops_the_one_before_that(api: Any) -> None:
    await api.enrol(1)
    assert await keys(api) == []
    for number in (1, 2, 3):
        before = await keys(api)
        assert (await api.ask(*ROTATE)).json()["id"] == number
        now = await keys(api)
        assert [each for each, _ in now] == [number, number - 1][:number]
        assert now[1:] == before[:1]
    assert len({key for _, key in now}) == 2
    assert all(len(bytes.fromhex(key)) == 16 for _, key in now)


async def test_a_heartbeat_tells_of_the_newest_key_also_after_a_restart(restartable: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        await api.enrol(1)
        assert (await api.heartbeat(1)).json()["newest_fast_open_key"] == 0
        await api.ask(*ROTATE)
        assert (await api.heartbeat(1)).json()["newest_fast_open_key"] == 1
        shown = await keys(api)
    async with restartable() as api:
        assert (await api.heartbeat(1)).json()["newest_fast_open_key"] == 1
        assert await keys(api) == shown


async def test_a_rotation_is_in_the_audit_log_without_the_key(api: Any, stored: Any) -> None:
    await api.enrol(1)
    answer = await api.ask(*ROTATE)
    ((_, key),) = await keys(api)
    newest = (await api.ask("GET", "/v1/audit")).json()["items"][0]
    assert (newest["what"], newest["target"], newest["why"]) == ("fast-open-keys.rotate", "key 1", "yearly")
    assert key not in answer.text
    assert stored().count(key) == 1, "the key is in one place, its own"


@pytest.mark.parametrize("role", ["read", "operate"])
async def test_people_who_only_operate_neither_see_keys_nor_make_them(api: Any, role: str) -> None:
    token = (await api.ask("POST", "/v1/tokens", {"name": "bob", "role": role})).json()["token"]
    assert (await api.ask("GET", "/v1/fast-open-keys", token=token)).status_code == 403
    assert (await api.ask(*ROTATE, token=token)).status_code == 403


async def test_an_edge_sees_keys_and_makes_none_and_a_stranger_sees_none(api: Any) -> None:
    await api.enrol(1)
    assert (await api.ask(*ROTATE, token="credential-1")).status_code == 403
    assert await keys(api) == []
    assert (await api.ask("GET", "/v1/fast-open-keys", token="unknown")).status_code == 401
