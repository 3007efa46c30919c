"""A group of real origins: which one is asked, and what each client sees when some fail."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from origin_groups import HOST, ask, group_of

from edge.http.origin_response import OriginFailed
from services.origins import Balancing, Ejection, Retry

BACKUP = {"group": "backup"}
ONCE = Ejection(failures=1, seconds=3600)


async def one_part() -> AsyncIterator[bytes]:
    yield b"body"


async def test_requests_are_shared_by_weight() -> None:
    async with group_of("a", "b", a={"weight": 3}) as (origins, _):
        counted = Counter([(await ask(origins))[1] for _ in range(40)])
    assert abs(counted["a"] - 30) <= 1
    assert counted["a"] + counted["b"] == 40


async def test_one_url_asks_one_origin() -> None:
    async with group_of("a", "b", "c", balancing=Balancing.HASH_URL) as (origins, _):
        first = {target: (await ask(origins, target))[1] for target in map("/{}".format, range(30))}
        assert set(first.values()) == {"a", "b", "c"}
        for target, name in first.items():
            assert (await ask(origins, target))[1] == name


async def test_a_backup_is_asked_only_while_no_primary_is_there() -> None:
    async with group_of("a", "b", a={"ejection": ONCE}, b=BACKUP) as (origins, lives):
        assert [await ask(origins) for _ in range(5)] == [(200, "a")] * 5
        lives["a"].kill()
        assert [await ask(origins) for _ in range(5)] == [(200, "b")] * 5


async def test_the_answer_names_its_origin_and_its_time() -> None:
    async with group_of("a") as (origins, _), origins.request("GET", b"/", HOST) as found:
        assert found.origin == "a"
        assert 0 < found.seconds < 5


async def test_the_host_of_the_origin_replaces_that_of_the_client() -> None:
    async with group_of("a", "b", a={"host": "origin.example"}, b=BACKUP) as (origins, lives):
        await ask(origins)
        lives["a"].kill()
        await ask(origins)
        assert lives["a"].asked[0].fields["host"] == "origin.example"
        assert lives["b"].asked[0].fields["host"] == "www.example"


@pytest.mark.parametrize("failure", ["refused", "reset", "502", "503", "504", "silent"])
async def test_an_idempotent_request_goes_to_another_origin(failure: str) -> None:
    async with group_of("a", "b", a={"response_timeout": 0.2}, b=BACKUP) as (origins, lives):
        if failure == "refused":
            lives["a"].kill()
        elif failure == "reset":
            lives["a"].silent = True
            asyncio.get_running_loop().call_later(0.1, lives["a"].kill)
        elif failure == "silent":
            lives["a"].silent = True
        else:
            lives["a"].status = f"{failure} Failed"
        assert await ask(origins) == (200, "b")


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error"])
async def test_other_errors_are_the_answer(status: str) -> None:
    async with group_of("a", "b", b=BACKUP) as (origins, lives):
        lives["a"].status = status
        assert await ask(origins) == (int(status[:3]), "a")


async def test_a_request_with_a_body_is_never_sent_twice() -> None:
    async with group_of("a", "b", a={"response_timeout": 0.2}, b=BACKUP) as (origins, lives):
        lives["a"].silent = True
        with pytest.raises(OriginFailed) as failed:
            await ask(origins, method="PUT", body=one_part())
        assert (failed.value.status, failed.value.origin) == (504, "a")
        lives["a"].silent, lives["a"].status = False, "503 Unavailable"
        assert await ask(origins, method="PUT", body=one_part()) == (503, "a")
        assert not lives["b"].asked


async def test_a_post_goes_elsewhere_only_while_nothing_of_it_was_sent() -> None:
    async with group_of("a", "b", a={"response_timeout": 0.2}, b=BACKUP) as (origins, lives):
        lives["a"].silent = True
        with pytest.raises(OriginFailed):
            await ask(origins, method="POST")
        assert not lives["b"].asked
        lives["a"].kill()
        assert await ask(origins, method="POST") == (200, "b")
        assert await ask(origins, method="POST", body=one_part()) == (200, "b")


async def test_an_error_is_passed_on_where_no_other_origin_is_healthy() -> None:
    async with group_of("a", "b", a={"ejection": ONCE}, b={"ejection": ONCE}) as (origins, lives):
        for live in lives.values():
            live.status = "503 Unavailable"
        for _ in range(4):
            assert (await ask(origins))[0] == 503
        # the first request ejected one, and was sent to the other; from then on each is sent once
        assert sum(len(live.asked) for live in lives.values()) == 5


async def test_attempts_are_bounded() -> None:
    async with group_of(*"abcdef", retry=Retry(attempts=2)) as (origins, lives):
        for live in lives.values():
            live.status = "503 Unavailable"
        assert (await ask(origins))[0] == 503
        assert sum(len(live.asked) for live in lives.values()) == 2


async def test_the_deadline_ends_all_attempts() -> None:
    async with group_of(*"abc", retry=Retry(deadline=0.3)) as (origins, lives):
        for live in lives.values():
            live.silent = True
        began = asyncio.get_running_loop().time()
        with pytest.raises(OriginFailed) as failed:
            await ask(origins)
        assert failed.value.status == 504
        assert asyncio.get_running_loop().time() - began < 3


async def test_no_client_sees_that_one_of_two_origins_is_killed_under_load() -> None:
    """Kept connections, requests that wait for an answer, and new ones: each idempotent request is answered."""
    async with group_of("a", "b") as (origins, lives):
        answers: list[tuple[int, str]] = []
        ended = asyncio.Event()

        async def ask_often(number: int) -> None:
            while not ended.is_set():
                answers.append(await ask(origins, f"/{number}"))

        async with asyncio.timeout(20), asyncio.TaskGroup() as clients:
            for number in range(16):
                clients.create_task(ask_often(number))
            while len(answers) < 200:
                await asyncio.sleep(0.001)
            lives["a"].kill()
            seen = len(answers)
            while len(answers) < seen + 200:
                await asyncio.sleep(0.001)
            await lives["a"].start()
            ended.set()
        assert {status for status, _ in answers} == {200}
        assert {name for _, name in answers[:200]} == {"a", "b"}
        assert {name for _, name in answers[-50:]} == {"b"}


async def test_the_log_names_service_origin_url_and_client(caplog: pytest.LogCaptureFixture) -> None:
    async with group_of("a", "b", b=BACKUP) as (origins, lives):
        lives["a"].kill()
        headers = [*HOST, ("x-forwarded-for", "192.0.2.7")]
        async with origins.request("GET", b"/page?a=1", headers):
            pass
    [record] = caplog.records
    for said in ("service shop", "origin a", f"http://127.0.0.1:{lives['a'].port}/page?a=1", "192.0.2.7"):
        assert said in record.getMessage()


async def test_the_log_says_when_an_origin_is_ejected_and_when_it_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "edge.origins")
    quick = Ejection(failures=2, seconds=0.05)
    async with group_of("a", "b", a={"ejection": quick}, b=BACKUP) as (origins, lives):
        lives["a"].status = "503 Unavailable"
        for _ in range(4):
            assert await ask(origins) == (200, "b")
        lives["a"].status = "200 OK"
        async with asyncio.timeout(10):
            while await ask(origins) != (200, "a"):
                await asyncio.sleep(0.01)
    said = [record.getMessage() for record in caplog.records if "failed" not in record.getMessage()]
    assert said == [
        "origin ejected for 0.05 s: service shop, origin a: 2 failures in a row, the last: status 503",
        "origin healthy: service shop, origin a",
    ]


async def test_a_request_that_has_gone_elsewhere_keeps_no_other_from_trying() -> None:
    quick = Ejection(failures=1, seconds=0.05)
    async with group_of("a", "b", a={"ejection": quick}, b=BACKUP) as (origins, lives):
        lives["a"].kill()
        state = origins.members[0].state
        await ask(origins)
        failures = state.failures
        async with asyncio.timeout(10):
            while state.failures == failures:  # until a request tries it again, and fails
                async with origins.request("GET", b"/", HOST) as found:
                    assert found.status == 200
                    if state.failures > failures:
                        await lives["a"].start()
                        while await ask(origins) != (200, "a"):
                            await asyncio.sleep(0.01)
