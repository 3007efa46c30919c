"""Active checks: what makes an origin ill and well again, and how many there are at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from loopback import until
from origin_groups import LiveOrigin, ask

from edge.origins.checks import schedule
from edge.origins.checks.schedule import CheckSchedule
from edge.origins.checks.watched_origin import WatchedOrigin
from edge.origins.connecting import open_plain
from edge.origins.origin_group import ServiceOrigins
from edge.origins.origin_state import OriginHealth, OriginState
from edge.origins.published_health import combine_origins, describe_origins
from edge.origins.registry import OriginRegistry
from services.document import HttpService, parse_document
from services.origins import Ejection, HealthCheck, Origin

FAST = {"path": "/health", "interval": 0.05, "timeout": 0.5, "rise": 2, "fall": 2}


@asynccontextmanager
async def checked(
    refusal: Any = lambda address: None, **health: Any
) -> AsyncIterator[tuple[ServiceOrigins, OriginRegistry, dict[str, LiveOrigin]]]:
    """Two origins, of which `a` is checked and preferred."""
    lives = {name: LiveOrigin(name) for name in "ab"}
    for live in lives.values():
        await live.start()
    origins: list[dict[str, Any]] = [
        {"name": name, "url": f"http://127.0.0.1:{live.port}"} for name, live in lives.items()
    ]
    origins[0] |= {"health": FAST | health}
    origins[1] |= {"group": "backup"}
    document = parse_document({"hostnames": ["www.example"], "origins": origins})
    assert isinstance(document, HttpService)
    registry = OriginRegistry("edge1", refusal)
    running = asyncio.create_task(registry.checks.run())
    try:
        yield registry.make_origins("shop", document, {}), registry, lives
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await registry.close()
        for live in lives.values():
            live.kill()


async def test_an_origin_whose_checks_fail_is_not_asked_until_they_succeed_again() -> None:
    async with checked() as (origins, registry, lives):
        assert await ask(origins) == (200, "a")
        state = origins.members[0].state
        await until(lambda: any(asked.target == "/health" for asked in lives["a"].asked))
        lives["a"].status = "500 Internal Server Error"
        await until(lambda: state.health is OriginHealth.ILL)
        assert await ask(origins) == (200, "b")
        [listed] = registry.facts()["listed"]
        assert (listed["origin"], listed["state"]) == ("a", "ill")
        assert listed["cause"] == "check: status 500 instead of 200"
        lives["a"].status = "200 OK"
        await until(lambda: state.health is OriginHealth.HEALTHY)
        assert await ask(origins) == (200, "a")


@pytest.mark.parametrize(("trouble", "cause"), [("killed", "ConnectError"), ("silent", "no response within")])
async def test_no_answer_is_a_failed_check(trouble: str, cause: str) -> None:
    async with checked(timeout=0.1 if trouble == "silent" else 30) as (origins, _, lives):
        await ask(origins)
        lives["a"].silent = True
        if trouble == "killed":
            lives["a"].kill()
        state = origins.members[0].state
        await until(lambda: state.ill)
        assert cause in state.cause


async def test_an_origin_that_is_alone_is_asked_though_ill() -> None:
    async with checked() as (origins, _, lives):
        lives["a"].status = lives["b"].status = "500 Internal Server Error"
        await ask(origins)
        await until(lambda: origins.members[0].state.ill)
        lives["b"].kill()
        assert await ask(origins) == (500, "a")


async def test_a_check_reaches_no_address_that_a_request_may_not() -> None:
    async with checked(lambda address: f"{address} is refused") as (origins, _, lives):
        origins.members[0].state.ejection = Ejection(failures=10_000)
        with pytest.raises(Exception, match="cannot reach the origin"):
            await ask(origins)
        await until(lambda: origins.members[0].state.ill)
        assert not lives["a"].server.connections


def watched_origin(number: int, interval: float = 0.01) -> WatchedOrigin:
    origin = Origin(name=f"o{number}", url="http://192.0.2.1")
    return WatchedOrigin("shop", origin, HealthCheck(interval=interval), OriginState(Ejection()), open_plain)


async def test_thousands_of_origins_are_one_task_and_a_few_checks_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "CHECKS_PER_SECOND", 1_000_000)
    running = most = 0
    checked_names: list[str] = []

    async def check(watched: WatchedOrigin) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        checked_names.append(watched.origin.name)
        await asyncio.sleep(0)
        running -= 1

    checks = CheckSchedule(check)
    all_watched = [watched_origin(number, interval=3600.0) for number in range(10_000)]
    now = asyncio.get_running_loop().time()
    for watched in all_watched:
        checks.note_use(watched, now)
        checks.note_use(watched, now)
    before = len(asyncio.all_tasks())
    task = asyncio.create_task(checks.run())
    await until(lambda: len(checked_names) > 500)
    assert len(asyncio.all_tasks()) <= before + 1 + schedule.CONCURRENT_CHECKS
    assert most <= schedule.CONCURRENT_CHECKS
    assert len(set(checked_names)) == len(checked_names)  # each waits for its interval
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_not_in_use_any_more_is_not_checked_and_counts_as_healthy() -> None:
    now = [1000.0]

    async def fail(watched: WatchedOrigin) -> str:
        return "check: failed"

    checks = CheckSchedule(fail, clock=lambda: now[0])
    watched = watched_origin(1)
    checks.note_use(watched, now[0])
    task = asyncio.create_task(checks.run())

    def has_moved() -> bool:
        now[0] += 0.1
        checks._added.set()
        return watched.state.ill

    await until(has_moved)
    now[0] += schedule.IDLE_SECONDS + 1
    checks._added.set()
    await until(lambda: not watched.scheduled)
    assert not watched.state.ill
    checks.note_use(watched, now[0])
    assert watched.scheduled
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_health_says_for_how_long_an_origin_is_unhealthy_and_which_are_the_slowest() -> None:
    ejected, slow, fast, old = (OriginState(Ejection(failures=1)) for _ in range(4))
    ejected.record_failure("status 503", 100.0)
    ejected.record_failure("reset", 105.0)
    for state, latency, at in ((slow, 0.5, 109.0), (fast, 0.1, 109.0), (old, 9.0, 40.0)):
        state.record_latency(latency, at)
    named = [("shop", name, state) for name, state in zip("abcd", (ejected, slow, fast, old), strict=True)]
    facts = describe_origins(named, 110.0)
    [listed] = facts["listed"]
    assert (listed["cause"], listed["seconds"], listed["latency"]) == ("reset", 10.0, None)
    assert [(each["origin"], each["latency"]) for each in facts["slowest"]] == [("b", 0.5), ("c", 0.1)]
    ejected.record_success()
    assert describe_origins(named, 110.0)["listed"] == []
    slow.record_latency(0.0, 111.0)
    assert slow.latency == pytest.approx(0.4)


def test_health_lists_each_origin_once_with_the_workers_that_do_not_ask_it() -> None:
    entry = {"service": "shop", "origin": "a", "state": "ejected", "cause": "status 503"}
    slow = [{"service": "shop", "origin": "b", "latency": latency} for latency in (0.2, 0.7)]
    first = {"listed": [entry | {"seconds": 3.0, "latency": None}], "slowest": slow[:1]}
    second = {"listed": [entry | {"seconds": 5.0, "latency": 0.1}], "slowest": slow[1:]}
    workers = [{"origins": {"known": 3, "unhealthy": 1} | each} for each in (first, second)]
    other = {"origins": {"known": 2, "unhealthy": 0, "listed": [], "slowest": []}}
    assert combine_origins([*workers, other, {}])["origins"] == {
        "known": 3,
        "unhealthy": 1,
        "listed": [{**entry, "workers": 2, "seconds": 5.0, "latency": 0.1}],
        "slowest": slow[1:],
    }
    assert combine_origins([{}]) == {}
