"""Origins over revisions: what is unchanged keeps its connections, what has gone is closed after its last request."""

import asyncio
from typing import Any

import pytest
from loopback import until
from origin_groups import HOST, LiveOrigin, ask

from edge.origins import registry
from edge.origins.registry import OriginRegistry
from services.document import HttpService, parse_document


def document(*origins: LiveOrigin, **fields: Any) -> HttpService:
    listed = [{"name": one.name, "url": f"http://127.0.0.1:{one.port}"} | fields for one in origins]
    parsed = parse_document({"hostnames": ["www.example"], "origins": listed})
    assert isinstance(parsed, HttpService)
    return parsed


def any_address(address: object) -> None:
    return None


async def started(name: str) -> LiveOrigin:
    live = LiveOrigin(name)
    await live.start()
    return live


async def test_an_unchanged_origin_keeps_its_connection_and_its_state() -> None:
    a, b = await started("a"), await started("b")
    made = OriginRegistry("edge1", any_address)
    first = made.make_origins("shop", document(a), {})
    await ask(first)
    first.members[0].state.record_failure("test", 0.0)
    second = made.make_origins("shop", document(a, b, weight=7), {})
    await first.close()
    assert {(await ask(second))[1] for _ in range(4)} == {"a", "b"}
    assert a.server.connections == 1
    assert second.members[0].state is first.members[0].state
    await second.close()
    await made.close()
    a.kill()
    b.kill()


@pytest.mark.parametrize("change", [{"host": "other.example"}, {"connections": 3}, {"response_timeout": 2.0}])
async def test_a_changed_origin_is_another_one(change: dict[str, Any]) -> None:
    a = await started("a")
    made = OriginRegistry("edge1", any_address)
    first, second = (made.make_origins("shop", document(a, **fields), {}) for fields in ({}, change))
    assert first.members[0].client is not second.members[0].client
    await made.close()
    a.kill()


async def test_services_share_no_connection() -> None:
    a = await started("a")
    made = OriginRegistry("edge1", any_address)
    one, other = made.make_origins("shop", document(a), {}), made.make_origins("bank", document(a), {})
    await ask(one)
    await ask(other)
    assert a.server.connections == 2
    await made.close()
    a.kill()


async def test_an_origin_that_has_gone_is_closed_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LINGER_SECONDS", 0.0)
    a = await started("a")
    made = OriginRegistry("edge1", any_address)
    origins = made.make_origins("shop", document(a), {})
    async with origins.request("GET", b"/", HOST) as found:
        assert made.origins
        assert [part async for part in found.parts] == [b"a"]
    await origins.close()
    await until(lambda: not made.origins)
    await made.close()
    a.kill()


async def test_revisions_under_load_lose_no_request() -> None:
    a, b = await started("a"), await started("b")
    made = OriginRegistry("edge1", any_address)
    current = [made.make_origins("shop", document(a), {})]
    running: dict[object, int] = {current[0]: 0}
    answers: list[tuple[int, str]] = []

    async def ask_often() -> None:
        for _ in range(60):
            origins = current[0]
            running[origins] += 1
            answers.append(await ask(origins))
            running[origins] -= 1
            if origins is not current[0] and not running[origins]:
                await origins.close()

    async with asyncio.TaskGroup() as clients:
        for _ in range(8):
            clients.create_task(ask_often())
        for number in range(10):
            await asyncio.sleep(0.01)
            current[0] = made.make_origins("shop", document(a, b, weight=number + 1), {})
            running[current[0]] = 0
    assert len(answers) == 480
    assert {status for status, _ in answers} == {200}
    await made.close()
    a.kill()
    b.kill()
