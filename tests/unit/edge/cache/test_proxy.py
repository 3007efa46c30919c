"""The caching proxy with many clients, large objects, and origins and disks that fail."""

import asyncio
import email
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cdn import Cdn, cdn
from one_service import one_service

from edge.cache.storage.store import ResponseStore
from edge.origins.assembly import single_origin
from edge.proxy.caching_proxy import CachingProxy

LARGE = [bytes([n]) * 100_000 for n in range(40)]
WHOLE = b"".join(LARGE)


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Cdn]:
    async with cdn(tmp_path / "cache") as made:
        made.origin.headers = [("cache-control", "max-age=60"), ("etag", '"1"')]
        yield made


async def test_a_thousand_requests_for_one_missing_object_reach_the_origin_once(it: Cdn) -> None:
    it.origin.gate = asyncio.Event()
    asking = [asyncio.create_task(it.get()) for _ in range(1000)]
    while not it.origin.asked:
        await asyncio.sleep(0.001)
    it.origin.gate.set()
    answers = await asyncio.gather(*asking)
    assert {answer.content for answer in answers} == {b"body"}
    assert len(it.origin.asked) == 1
    said = [answer.headers["cache-status"] for answer in answers]
    assert said.count("edge1; fwd=uri-miss; fwd-status=200; ttl=60; stored") == 1
    assert said.count("edge1; fwd=uri-miss; fwd-status=200; ttl=60; stored; collapsed") == 999


async def test_a_thousand_revalidations_are_one(it: Cdn) -> None:
    await it.get()
    await it.settled()
    it.clock.now += 61
    answers = await asyncio.gather(*(it.get() for _ in range(1000)))
    assert {answer.content for answer in answers} == {b"body"}
    assert len(it.origin.asked) == 2


async def test_those_who_need_another_variant_wait_for_one_more_request(it: Cdn) -> None:
    it.origin.headers.append(("vary", "accept-language"))
    languages = ["de", "fr"] * 100
    await asyncio.gather(*(it.get(accept_language=language) for language in languages))
    assert sorted(request.headers["accept-language"] for request in it.origin.asked) == ["de", "fr"]


async def test_what_may_not_be_shared_is_asked_for_by_each(it: Cdn) -> None:
    it.origin.headers = [("cache-control", "private")]
    await asyncio.gather(*(it.get() for _ in range(20)))
    assert len(it.origin.asked) == 20
    it.origin.headers = [("cache-control", "public, max-age=60")]
    await asyncio.gather(*(it.get("/b", authorization=str(n)) for n in range(20)))
    assert len(it.origin.asked) == 40


async def test_a_large_object_reaches_all_clients_while_it_is_being_stored(it: Cdn) -> None:
    it.origin.parts, it.origin.gate = LARGE, asyncio.Event()
    it.origin.headers.append(("content-length", str(len(WHOLE))))
    received: list[int] = [0, 0]

    async def read(number: int) -> bytes:
        messages: list[bytes] = []

        async def send(message: dict[str, object]) -> None:
            body = message.get("body", b"")
            assert isinstance(body, bytes)
            messages.append(body)
            received[number] += len(body)

        scope = {"type": "http", "method": "GET", "raw_path": b"/a", "query_string": b"", "headers": []}
        await it.proxy(scope, _nothing, send)  # type: ignore[arg-type]
        return b"".join(messages)

    reading = [asyncio.create_task(read(n)) for n in range(2)]
    async with asyncio.timeout(5):
        while min(received) < 3_000_000:
            await asyncio.sleep(0.001)
    assert not any(task.done() for task in reading)
    it.origin.gate.set()
    assert await asyncio.gather(*reading) == [WHOLE, WHOLE]
    await it.settled()
    assert len(it.origin.asked) == 1
    again = await it.get(host="")
    assert again.content == WHOLE


async def test_a_range_of_what_is_arriving_waits_for_it_when_it_is_near(it: Cdn) -> None:
    it.origin.parts = LARGE
    it.origin.headers.append(("content-length", str(len(WHOLE))))
    whole, part = await asyncio.gather(it.get(), it.get(range="bytes=99999-100000"))
    assert (part.status_code, part.content) == (206, WHOLE[99_999:100_001])
    assert whole.content == WHOLE


async def test_a_range_near_the_start_of_what_is_missing_brings_the_whole(it: Cdn) -> None:
    it.origin.parts = LARGE
    it.origin.headers.append(("content-length", str(len(WHOLE))))
    part = await it.get(range="bytes=99999-100000")
    assert (part.status_code, part.content) == (206, WHOLE[99_999:100_001])
    await it.settled()
    assert (await it.get(range="bytes=-5")).content == WHOLE[-5:]
    (request,) = it.origin.asked
    assert "range" not in request.headers


@pytest.mark.parametrize("value", ["bytes=1048577-", "bytes=-5", "bytes=x-"])
async def test_a_range_far_within_what_is_missing_goes_on_as_it_is(it: Cdn, value: str) -> None:
    part = httpx.Response(206, headers={"content-range": "bytes 1-2/9"}, content=b"ar")
    it.origin.answer = lambda request: part if "range" in request.headers else None
    assert (await it.get(range=value)).content == b"ar"
    assert [request.headers["range"] for request in it.origin.asked] == [value]


async def test_a_range_of_what_could_not_be_stored_a_moment_ago_goes_on_as_it_is(it: Cdn) -> None:
    it.origin.headers = [("cache-control", "no-store")]
    await it.get()
    await it.get(range="bytes=0-1")
    assert it.origin.asked[-1].headers["range"] == "bytes=0-1"


async def test_a_confirmed_variant_is_given_to_those_who_select_it_alone(it: Cdn) -> None:
    it.origin.headers.append(("vary", "accept-language"))
    it.origin.answer = lambda request: (
        None
        if "if-none-match" in request.headers
        else httpx.Response(200, headers=it.origin.headers, text=request.headers["accept-language"])
    )
    for language in ("de", "fr"):
        await it.get(accept_language=language)
        await it.settled()
    it.clock.now += 61
    answers = await asyncio.gather(*(it.get(accept_language=one) for one in ("de", "fr", "de")))
    assert [answer.text for answer in answers] == ["de", "fr", "de"]


async def test_several_ranges_come_as_one_document(it: Cdn) -> None:
    it.origin.body = bytes(range(256)) * 400
    it.origin.headers.append(("content-type", "video/x"))
    await it.get()
    await it.settled()
    answer = await it.get(range="bytes=0-1, -3, 70000-70009")
    assert answer.status_code == 206
    assert int(answer.headers["content-length"]) == len(answer.content)
    head = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + answer.content).get_payload()
    size = len(it.origin.body)
    expected = [(0, 1), (size - 3, size - 1), (70_000, 70_009)]
    for part, (first, last) in zip(parts, expected, strict=True):  # type: ignore[arg-type]
        assert part["content-range"] == f"bytes {first}-{last}/{size}"  # type: ignore[index]
        assert part["content-type"] == "video/x"  # type: ignore[index]
        assert part.get_payload(decode=True) == it.origin.body[first : last + 1]  # type: ignore[union-attr]


async def test_overlapping_ranges_are_not_multiplied(it: Cdn) -> None:
    await it.get()
    await it.settled()
    answer = await it.get(range="bytes=0-,0-,0-,0-")
    assert (answer.status_code, answer.content) == (200, b"body")
    answer = await it.get(range="bytes=" + ",".join(f"{n}-{n}" for n in range(100)))
    assert answer.status_code == 200


async def test_a_response_cut_short_is_neither_stored_nor_passed_off_as_whole(it: Cdn) -> None:
    it.origin.parts, it.origin.cut = [b"bo", b"dy"], True
    it.origin.headers.append(("content-length", "4"))
    with pytest.raises(
        AssertionError
    ):  # the client's transport misses the end: a server cuts the connection here
        await it.get()
    await it.settled()
    it.origin.cut = False
    assert (await it.get()).content == b"body"
    assert len(it.origin.asked) == 2


async def test_an_origin_that_is_away_is_said_so(it: Cdn, tmp_path: Path) -> None:
    it.origin.error = httpx.ConnectError("away")
    assert (await it.get()).status_code == 502
    it.origin.error = httpx.ReadTimeout("silent")
    assert (await it.get()).status_code == 504
    assert (await it.client.post("/a", content=b"x")).status_code == 504
    store = ResponseStore(tmp_path / "other", 1000, 1000)
    proxy = CachingProxy(one_service(single_origin("http://127.0.0.1:1", "edge1")), store, "edge1")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(proxy), base_url="http://cdn") as client:
        assert (await client.get("/a")).status_code == 502
        assert (await client.get("/" + "a" * 9000)).status_code == 414
        assert (await client.request("TRACE", "/")).status_code == 501


async def test_a_kept_connection_that_the_origin_has_closed_costs_the_client_nothing(it: Cdn) -> None:
    failures = [httpx.RemoteProtocolError("gone")]

    def once(request: httpx.Request) -> None:
        if failures:
            raise failures.pop()

    it.origin.answer = once  # type: ignore[assignment]
    assert (await it.get()).status_code == 200
    failures.append(httpx.RemoteProtocolError("gone"))
    assert (await it.client.post("/a", content=b"x")).status_code == 502  # it may have been done: never twice


async def test_what_is_hop_by_hop_or_the_edges_own_goes_no_further(it: Cdn) -> None:
    it.origin.headers += [
        ("connection", "close, x-secret"), ("x-secret", "1"), ("keep-alive", "1"), ("cache-tag", "a"),
        ("cache-status", "origin-cache; hit"),
    ]  # fmt: skip
    answer = await it.get(connection="x-mine", x_mine="1", te="trailers", x_other="2", accept_encoding="gzip")
    asked = it.origin.asked[0].headers
    assert "x-mine" not in asked
    assert "te" not in asked
    assert (asked["x-other"], asked["accept-encoding"], asked["via"]) == ("2", "gzip", "1.1 edge1")
    assert "user-agent" not in asked
    assert not {"x-secret", "keep-alive", "cache-tag"} & set(answer.headers)
    assert answer.headers["cache-status"].startswith("origin-cache; hit, edge1; fwd=uri-miss")
    await it.settled()
    assert (await it.get()).headers["cache-status"] == "edge1; hit; ttl=60"


async def test_a_coded_body_stays_as_it_is(it: Cdn) -> None:
    it.origin.body = gzip.compress(b"text")
    it.origin.headers += [("content-encoding", "gzip"), ("vary", "accept-encoding")]
    for _ in range(2):
        answer = await it.get(accept_encoding="gzip")
        assert (answer.headers["content-encoding"], answer.content) == ("gzip", b"text")
        await it.settled()


async def test_requests_with_bodies_are_streamed_and_bounded(tmp_path: Path) -> None:
    async with cdn(tmp_path) as it:
        it.proxy._request_limit = 1000

        async def parts(count: int) -> AsyncIterator[bytes]:
            for _ in range(count):
                yield b"x" * 100

        assert (await it.client.post("/a", content=parts(10))).status_code == 200
        assert it.origin.asked[0].content == b"x" * 1000
        assert (await it.client.post("/a", content=parts(11))).status_code == 413
        assert (await it.client.post("/a", content=b"x" * 1001)).status_code == 413
        assert len(it.origin.asked) == 1


async def test_a_request_that_comes_back_is_refused(it: Cdn) -> None:
    assert (await it.get(cdn_loop="other, edge1")).status_code == 508
    assert (await it.get(cdn_loop="other")).status_code == 200
    assert it.origin.asked[0].headers["cdn-loop"] == "other, edge1"


async def test_a_purge_in_the_middle_of_a_fetch_keeps_it_out_of_the_store(it: Cdn) -> None:
    it.origin.parts, it.origin.gate = [b"bo", b"dy"], asyncio.Event()
    asking = asyncio.create_task(it.get())
    while not it.origin.asked:
        await asyncio.sleep(0.001)
    it.proxy.fetches.discard_running("cdn /a")
    it.origin.gate.set()
    assert (await asking).content == b"body"
    await it.settled()
    await it.get()
    assert len(it.origin.asked) == 2


async def test_a_full_disk_costs_storing_never_an_answer(
    it: Cdn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from edge.cache.storage.body_files import BodyFile

    write = BodyFile.write

    def full(self: BodyFile, data: bytes) -> None:
        if self.size + len(data) > 1_000_000:
            raise OSError(28, "No space left on device")
        write(self, data)

    monkeypatch.setattr(BodyFile, "write", full)
    it.origin.parts = LARGE
    answers = await asyncio.gather(*(it.get() for _ in range(5)))
    assert [answer.content for answer in answers] == [WHOLE] * 5
    await it.settled()
    assert list((tmp_path / "cache").glob("*.body")) == []
    monkeypatch.undo()
    await it.get()
    await it.settled()
    assert (await it.get()).headers["cache-status"] == "edge1; hit; ttl=60"


async def test_an_object_larger_than_allowed_is_delivered_and_not_stored(tmp_path: Path) -> None:
    async with cdn(tmp_path, object_limit=1_000_000) as it:
        it.origin.headers = [("cache-control", "max-age=60")]
        for with_length in (True, False):
            it.origin.parts = LARGE
            it.origin.headers = it.origin.headers[:1] + [("content-length", str(len(WHOLE)))] * with_length
            for _ in range(2):
                assert (await it.get(f"/{with_length}")).content == WHOLE
                await it.settled()
        assert it.store.size == 0
        assert len(it.origin.asked) == 4


async def test_a_body_that_was_evicted_a_moment_ago_is_asked_for_again(it: Cdn, tmp_path: Path) -> None:
    it.origin.parts = LARGE
    await it.get()
    await it.settled()
    for path in (tmp_path / "cache").glob("*.body"):
        path.unlink()
    assert (await it.get()).content == WHOLE
    assert len(it.origin.asked) == 2


async def _nothing() -> dict[str, object]:
    return {"type": "http.disconnect"}


async def test_while_the_origin_fails_stale_responses_do_not_each_ask_it(it: Cdn) -> None:
    it.origin.headers = [("cache-control", "max-age=10, stale-while-revalidate=600")]
    await it.get()
    await it.settled()
    it.origin.status = 503
    it.clock.now += 11
    for _ in range(50):
        assert (await it.get()).status_code == 200
        await it.settled()
    assert len(it.origin.asked) == 2
    it.clock.now += 1
    for _ in range(5):
        await it.get()
        await it.settled()
    assert len(it.origin.asked) == 3
    it.origin.status = 200
    it.clock.now += 2
    await it.get()
    await it.settled()
    assert "ttl=10" in (await it.get()).headers["cache-status"]


async def test_an_error_that_was_stored_is_renewed_by_another(it: Cdn) -> None:
    it.origin.status = 503
    it.origin.headers = [("cache-control", "max-age=1")]
    await it.get()
    await it.settled()
    it.clock.now += 2
    it.origin.headers = [("cache-control", "max-age=100")]
    await it.get()
    await it.settled()
    it.clock.now += 50
    assert "hit" in (await it.get()).headers["cache-status"]
    assert len(it.origin.asked) == 2


async def test_a_304_updates_the_media_type_but_not_the_framing(it: Cdn) -> None:
    it.origin.headers = [("cache-control", "max-age=1"), ("etag", '"1"'), ("content-type", "text/plain")]
    await it.get()
    await it.settled()
    it.clock.now += 2
    it.origin.headers = [("cache-control", "max-age=60"), ("etag", '"1"'), ("content-type", "text/html")]
    it.origin.headers.append(("content-length", "999"))
    for _ in range(2):
        answer = await it.get()
        assert (answer.headers["content-type"], answer.content) == ("text/html", b"body")
        await it.settled()


@pytest.mark.parametrize("etag", ['"new"', 'W/"new"'])
async def test_a_304_with_a_tag_that_was_not_stored_renews_nothing(it: Cdn, etag: str) -> None:
    modified = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
    it.origin.headers = [("cache-control", "max-age=1"), modified]
    await it.get()
    await it.settled()
    it.clock.now += 2
    confirming = httpx.Response(304, headers=[("etag", etag)])
    it.origin.answer = lambda request: confirming if "if-modified-since" in request.headers else None
    assert "fwd-status=200" in (await it.get()).headers["cache-status"]
    assert "if-modified-since" not in it.origin.asked[-1].headers


async def test_a_follower_is_given_the_age_of_what_it_follows(it: Cdn) -> None:
    it.origin.parts, it.origin.gate = LARGE, asyncio.Event()
    it.origin.headers.append(("content-length", str(len(WHOLE))))
    leading = asyncio.create_task(it.get())
    async with asyncio.timeout(5):
        while (
            not (joinable := it.proxy.fetches.joinable("cdn /a", it.services.current.services[""]))
            or not joinable[0].head.done()
        ):
            await asyncio.sleep(0.001)
    it.clock.now += 3
    following = asyncio.create_task(it.get())
    await asyncio.sleep(0)
    it.origin.gate.set()
    leader, follower = await asyncio.gather(leading, following)
    assert "age" not in leader.headers
    assert follower.headers["age"] == "3"


async def test_a_follower_that_comes_after_the_body_was_closed_asks_for_itself(it: Cdn) -> None:
    """As where the origin breaks off between the head's arrival and the follower's turn."""
    it.origin.parts, it.origin.gate = LARGE, asyncio.Event()
    it.origin.headers.append(("content-length", str(len(WHOLE))))
    leading, following = asyncio.create_task(it.get()), asyncio.create_task(it.get())
    async with asyncio.timeout(5):
        while not (joinable := it.proxy.fetches.joinable("cdn /a", it.services.current.services[""])):
            await asyncio.sleep(0)
    [fetch] = joinable

    def end_at_once(_: object) -> None:
        assert fetch.spool is not None
        fetch.spool.is_closed = True

    fetch.head.add_done_callback(end_at_once)
    it.origin.gate.set()
    answers = await asyncio.gather(leading, following)
    assert [answer.content == WHOLE for answer in answers] == [True, True]
    assert len(it.origin.asked) > 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_fields_for_cdns_do_not_reach_clients(it: Cdn, method: str) -> None:
    names = ["cdn-cache-control", "surrogate-control", "surrogate-key", "cache-tag"]
    it.origin.headers = [(name, "max-age=60") for name in names]
    for _ in range(2):
        answer = await it.client.request(method, "/a")
        assert not set(names) & set(answer.headers)
        await it.settled()
