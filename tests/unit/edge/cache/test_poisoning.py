"""Whatever one client or answer says, another client is given only what is right for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest
from cdn import Cdn, cdn

FRESH = ("cache-control", "max-age=60")


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Cdn]:
    async with cdn(tmp_path / "cache") as made:
        made.origin.headers = [FRESH, ("etag", '"1"')]
        yield made


def says(name: str) -> Callable[[httpx.Request], httpx.Response]:
    """An origin whose answers repeat one field of the request."""

    def answer(request: httpx.Request) -> httpx.Response:
        received = request.headers.get(name, "nothing")
        headers = [FRESH, ("vary", "accept-language"), ("content-length", str(len(received)))]
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(received.encode()))

    return answer


async def test_a_client_cannot_take_the_host_away_that_an_answer_is_stored_under(it: Cdn) -> None:
    it.origin.answer = says("host")
    await it.get(host="victim", connection="keep-alive, Host")
    await it.settled()
    assert (await it.get(host="victim")).text == "victim"


async def test_a_field_taken_away_on_the_way_selects_no_variant(it: Cdn) -> None:
    it.origin.answer = says("accept-language")
    await it.get(accept_language="de", connection="accept-language")
    await it.settled()
    assert (await it.get(accept_language="de")).text == "de"
    assert (await it.get()).text == "nothing"


async def test_the_origin_gets_the_host_that_the_answer_is_stored_under(it: Cdn) -> None:
    it.origin.answer = says("host")
    await it.get(host="CDN.example:443")
    await it.settled()
    answer = await it.get(host="cdn.example")
    assert answer.text == "cdn.example"
    assert "hit" in answer.headers["cache-status"]


@pytest.mark.parametrize(
    "more",
    [
        ("set-cookie", "session=hers"),
        ("cache-control", "private, max-age=60"),
        ("cache-control", "no-store, max-age=60"),
    ],
)
async def test_what_a_304_says_to_one_client_is_sent_to_no_other(it: Cdn, more: tuple[str, str]) -> None:
    await it.get()
    await it.settled()
    it.clock.now += 61
    kept = [pair for pair in it.origin.headers if pair[0] != more[0]]
    it.origin.headers = [*kept, more]
    assert (await it.get()).headers[more[0]] == more[1]  # hers
    await it.settled()
    it.origin.headers = [FRESH, ("etag", '"1"')]
    another = await it.get()
    assert "set-cookie" not in another.headers
    assert "hit" not in another.headers["cache-status"]


async def test_a_response_that_varies_only_since_it_was_confirmed_is_not_shared(it: Cdn) -> None:
    await it.get(accept_language="de")
    await it.settled()
    it.clock.now += 61
    it.origin.headers.append(("vary", "accept-language"))
    await it.get(accept_language="de")
    await it.settled()
    assert "hit" in (await it.get(accept_language="de")).headers["cache-status"]
    assert "hit" not in (await it.get(accept_language="fr")).headers["cache-status"]


async def test_the_straight_way_chooses_the_newest_of_what_a_request_selects(it: Cdn) -> None:
    it.origin.headers = [FRESH, ("etag", '"1"'), ("vary", "accept-language")]
    await it.get(accept_language="de")
    await it.settled()
    it.clock.now += 1
    it.origin.headers = [FRESH, ("etag", '"2"')]
    it.origin.body = b"newer"
    await it.get(cache_control="no-cache")
    await it.settled()
    assert (await it.get(accept_language="de")).text == "newer"
    response = it.fast(b"GET /a HTTP/1.1\r\nhost: cdn\r\naccept-language: de\r\n\r\n")
    assert response is not None
    assert response.endswith(b"\r\n\r\nnewer")


async def test_a_status_that_http_does_not_have_is_a_failure_of_the_origin(it: Cdn) -> None:
    it.origin.status = 600
    for _ in range(2):
        assert (await it.get()).status_code == 502
        await it.settled()
    assert it.fast(b"GET /a HTTP/1.1\r\nhost: cdn\r\n\r\n") is None


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_a_target_that_is_no_path_reaches_no_origin(it: Cdn, method: str) -> None:
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "raw_path": b"*", "query_string": b"", "headers": []}
    await it.proxy(scope, AsyncMock(), send)
    # OPTIONS * is for this server itself
    assert sent[0]["status"] == (204 if method == "OPTIONS" else 400)
    assert not it.origin.asked


@pytest.mark.parametrize(
    "asks", [{"cache_control": "no-cache, no-store"}, {"cache_control": "no-cache", "authorization": "hers"}]
)
async def test_a_client_whose_answer_is_hers_alone_takes_nothing_from_the_others(
    it: Cdn, asks: dict[str, str]
) -> None:
    it.origin.headers = [FRESH]
    await it.get()
    await it.settled()
    await it.get(**asks)
    await it.settled()
    assert "hit" in (await it.get()).headers["cache-status"]
    it.clock.now += 61
    await it.get(**asks)
    await it.settled()
    it.origin.asked.clear()
    answers = await asyncio.gather(*(it.get() for _ in range(20)))
    assert {answer.text for answer in answers} == {"body"}
    assert len(it.origin.asked) == 1


async def test_no_request_waits_without_limit_for_what_others_request_again(
    it: Cdn, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates: dict[str, asyncio.Event] = {}

    async def slow(request: httpx.Request) -> httpx.Response:
        language = request.headers["accept-language"]
        await gates.setdefault(language, asyncio.Event()).wait()
        headers = [FRESH, ("vary", "accept-language"), ("content-length", "2")]
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"ok"))

    async def asked_for(language: str) -> None:
        async with asyncio.timeout(10):
            while language not in gates:
                await asyncio.sleep(0)

    monkeypatch.setattr(it.origin, "handle_async_request", slow)
    asking = [asyncio.create_task(it.get(accept_language="x0"))]
    await asked_for("x0")
    waits = asyncio.create_task(it.get(accept_language="hers"))
    for number in range(1, 30):
        # each is asked for alone, so that it does not wait, and before the last has been answered
        asking.append(asyncio.create_task(it.get(accept_language=f"x{number}", authorization="his")))
        await asked_for(f"x{number}")
        gates[f"x{number - 1}"].set()
        await asking[-2]
    assert "hers" in gates
    for gate in gates.values():
        gate.set()
    assert (await waits).text == "ok"
    await asyncio.gather(*asking)
