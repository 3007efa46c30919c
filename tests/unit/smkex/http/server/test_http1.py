"""HTTP/1.1 inside real sessions over loopback: what is understood, and what is refused."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from loopback import LoopbackEdge, until

from smkex.client.connection import Connection
from smkex.core.errors import SmkexError
from smkex.http.server.http1 import EXPORTER, PATH_CONFIRMED, RequestLimits
from smkex.http.server.http_server import HttpServer
from smkex.transport.driver import SessionDriver

LIMITS = RequestLimits(idle=60, head_wait=60, body_wait=60, write_wait=60)
IMPATIENT = RequestLimits(idle=0.5, head_wait=0.5, body_wait=0.5, write_wait=0.5)
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    """Says what it was asked; /lines answers in chunks, /slow after a while."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(0.1)
    if scope["path"] == "/slower":
        await asyncio.sleep(2.5)
    text = b"%s %s [%s]" % (scope["method"].encode(), scope["raw_path"], body)
    names = b",".join(sorted(name for name, _ in scope["headers"]))
    hosts = b",".join(value for name, value in scope["headers"] if name == b"host")
    headers = [(b"x-names", names), (b"x-host", hosts)]
    if scope["path"] == "/cut":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text, "more_body": True})
        return
    if scope["path"] == "/large":
        text = bytes(64 << 20)
    if scope["path"] != "/lines":
        headers.append((b"content-length", b"%d" % len(text)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text[:5], "more_body": True})
    await send({"type": "http.response.body", "body": text[5:], "more_body": False})


class HttpEdge(LoopbackEdge):
    """A loopback edge that serves `app`."""

    def __init__(self, limits: RequestLimits) -> None:
        super().__init__()
        self.server = HttpServer(app, limits=limits)

    def _serve(self, session: SessionDriver) -> None:
        self.sessions.append(session)
        session.start(self.server.create_protocol())


@asynccontextmanager
async def connected(limits: RequestLimits) -> AsyncIterator[Connection]:
    async with HttpEdge(limits) as edge:
        await edge.server.start()
        made = await edge.connect()
        yield made
        await made.close()
        await edge.server.stop()


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """To an edge that waits for long, so that a busy machine is no slow client."""
    async with connected(LIMITS) as made:
        yield made


@pytest.fixture
async def hurried() -> AsyncIterator[Connection]:
    """To an edge that waits for nothing long."""
    async with connected(IMPATIENT) as made:
        yield made


async def ask(connection: Connection, *pieces: bytes, end: bytes | None = None, pause: float = 0.0) -> bytes:
    """Send, and read until what comes ends with `end`, or, without one, until the other end has closed."""
    answer = b""
    async with asyncio.timeout(10):
        for piece in pieces:
            connection.writer.write(piece)
            await asyncio.sleep(pause)
        while end is None or not answer.endswith(end):
            data = await connection.reader.read(1 << 20)
            if not data:
                assert end is None, answer
                break
            answer += data
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(part.split()[0]) for part in answer.split(b"HTTP/1.1 ")[1:]]


GET = b"GET /%s HTTP/1.1\r\nhost: cdn\r\n\r\n"


async def test_a_session_is_kept_for_the_next_request(connection: Connection) -> None:
    for name in (b"a", b"b"):
        answer = await ask(connection, GET % name, end=b"GET /%s []" % name)
        assert statuses(answer) == [200]


async def test_pipelined_requests_are_answered_in_order(connection: Connection) -> None:
    answer = await ask(connection, GET % b"slow" + GET % b"b" + GET % b"c", end=b"/c []")
    assert statuses(answer) == [200, 200, 200]
    assert answer.index(b"/slow []") < answer.index(b"/b []") < answer.index(b"/c []")


@pytest.mark.parametrize("names", [(b"a",), (b"slow",), (b"large",), (b"lines",), (b"slow", b"b", b"large")])
async def test_a_client_that_ends_its_direction_gets_every_response_whole(
    connection: Connection, names: tuple[bytes, ...]
) -> None:
    connection.writer.write(b"".join(GET % name for name in names))
    connection.writer.write_eof()
    answer = await asyncio.wait_for(connection.reader.read(), 30)
    assert answer.count(b"HTTP/1.1 200 OK") == len(names)
    assert len(answer) > (64 << 20) * names.count(b"large")


async def test_a_client_that_ends_its_direction_while_it_receives_gets_the_rest(
    connection: Connection,
) -> None:
    connection.writer.write(GET % b"large")
    begun = await connection.reader.readexactly(1 << 20)
    connection.writer.write_eof()
    answer = begun + await asyncio.wait_for(connection.reader.read(), 30)
    body = answer.partition(b"\r\n\r\n")[2]
    assert len(body) == 64 << 20


@pytest.mark.parametrize(
    "cut", [b"GET /a HT", b"POST /a HTTP/1.1\r\nhost: cdn\r\ncontent-length: 5\r\n\r\nabc"]
)
async def test_a_client_that_ends_its_direction_within_a_request_is_closed(
    connection: Connection, cut: bytes
) -> None:
    connection.writer.write(cut)
    connection.writer.write_eof()
    assert await ask(connection) == b""


async def test_a_request_that_comes_byte_by_byte_is_a_request(connection: Connection) -> None:
    answer = await ask(connection, *[bytes([one]) for one in GET % b"a"], end=b"GET /a []")
    assert statuses(answer) == [200]


INVALID = [
    (b"garbage", 400),
    (b"\x00", 400),
    (b"GET /b HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
    (b"GET /b HTTP/2.0\r\nhost: cdn\r\n\r\n", 505),
    (b"BREW /b HTTP/1.1\r\nhost: cdn\r\n\r\n", 501),
    (b"POST /b HTTP/1.1\r\nhost: cdn\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 501),
    (b"POST /b HTTP/1.1\r\nhost: cdn\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
    (b"GET /b HTTP/1.1\r\nhost: cdn\r\n" + b"x: y\r\n" * 200, 431),
    (b"GET /" + b"b" * 9000, 414),
]


@pytest.mark.parametrize("separate", [False, True], ids=["one packet", "two packets"])
@pytest.mark.parametrize("before", [(b"a",), (b"slow",), (b"lines",), (b"slow", b"a", b"lines")])
@pytest.mark.parametrize(("invalid", "status"), INVALID)
async def test_the_requests_before_an_invalid_one_are_answered_first(
    connection: Connection, before: tuple[bytes, ...], invalid: bytes, status: int, separate: bool
) -> None:
    valid = b"".join(GET % name for name in before)
    pieces = (valid, invalid) if separate else (valid + invalid,)
    answer = await ask(connection, *pieces, pause=0.02)
    assert statuses(answer) == [*[200] * len(before), status]
    assert all(b"/%s []" % name in re.sub(rb"\r\n\w\r\n", b"", answer) for name in before)
    assert answer.count(b"connection: close") == 1


async def test_a_body_before_an_invalid_request_is_complete(connection: Connection) -> None:
    request = b"POST /slow HTTP/1.1\r\nhost: cdn\r\ncontent-length: 3\r\n\r\nabc"
    answer = await ask(connection, request + b"\x00" + GET % b"b")
    assert statuses(answer) == [200, 400]
    assert b"POST /slow [abc]" in answer


async def test_a_request_behind_the_invalid_one_is_not_answered(connection: Connection) -> None:
    answer = await ask(connection, GET % b"slow" + b"\x00" + GET % b"b", GET % b"c", pause=0.02)
    assert statuses(answer) == [200, 400]


async def test_a_request_that_stops_does_not_take_the_answer_of_the_one_before(hurried: Connection) -> None:
    answer = await ask(hurried, GET % b"slower" + b"GET /b HTTP/1.1\r\n")
    assert statuses(answer) == [200, 408]
    assert b"GET /slower []" in answer


async def test_a_request_that_stops_behind_an_answered_one_is_given_up(hurried: Connection) -> None:
    answer = await ask(hurried, GET % b"a" + b"GET /b HTTP/1.1\r\n")
    assert statuses(answer) == [200, 408]


@pytest.mark.parametrize(
    "cut", [b"GET /b HT", b"POST /b HTTP/1.1\r\nhost: cdn\r\ncontent-length: 5\r\n\r\nabc"]
)
async def test_a_client_that_ends_its_direction_within_a_later_request_gets_the_earlier_answer(
    connection: Connection, cut: bytes
) -> None:
    connection.writer.write(GET % b"slow" + cut)
    connection.writer.write_eof()
    answer = await ask(connection)
    assert statuses(answer) == [200]
    assert answer.endswith(b"GET /slow []")


@pytest.mark.parametrize("pause", [0.0, 0.002], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("line", [b"GET  /a HTTP/1.1", b"GET /a  HTTP/1.1", b"\r\nGET  /a HTTP/1.1"])
async def test_two_spaces_in_a_request_line_are_refused(
    connection: Connection, line: bytes, pause: float
) -> None:
    request = line + b"\r\nhost: cdn\r\n\r\n"
    pieces = [request] if not pause else [bytes([one]) for one in request]
    assert statuses(await ask(connection, *pieces, pause=pause)) == [400]


BEFORE = {
    "without a body": GET % b"before",
    "with a length": b"POST /before HTTP/1.1\r\nhost: cdn\r\ncontent-length: 7\r\n\r\nabc  de",
    "in chunks": b"POST /before HTTP/1.1\r\nhost: cdn\r\ntransfer-encoding: chunked\r\n\r\n3\r\na  \r\n0\r\n\r\n",
    "in chunks with a trailer": b"POST /before HTTP/1.1\r\nhost: cdn\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\n\n0a\r\n00;x\r\nt: 0  HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("line", [b"GET  /b HTTP/1.1", b"GET /b  HTTP/1.1", b"GET /b HTTP/1.1"])
@pytest.mark.parametrize("cut", [None, -20, -24, -25, -26, -27, -28, -29, -30, -31, -33, -34, -35, -36])
async def test_two_spaces_behind_another_request_are_refused(
    connection: Connection, before: bytes, line: bytes, cut: int | None
) -> None:
    whole = before + line + b"\r\nhost: cdn\r\n\r\n"
    pieces = [whole] if cut is None else [whole[:cut], whole[cut:]]
    if b"  " in line:
        assert statuses(await ask(connection, *pieces, pause=0.001)) == [200, 400]
    else:
        assert statuses(await ask(connection, *pieces, end=b"GET /b []", pause=0.001)) == [200, 200]


async def test_spaces_in_fields_and_bodies_are_theirs(connection: Connection) -> None:
    head = b"POST /a HTTP/1.1\r\nhost: cdn\r\nx:  a  b\r\ncontent-length: 4\r\n\r\n"
    for pieces in ([head + b"a  b"], [head, b"a  b"], [bytes([one]) for one in head + b"a  b"]):
        assert statuses(await ask(connection, *pieces, end=b"POST /a [a  b]", pause=0.001)) == [200]


async def test_chunks_both_ways(connection: Connection) -> None:
    answer = await ask(
        connection,
        b"POST /lines HTTP/1.1\r\nhost: cdn\r\ntransfer-encoding: chunked\r\n\r\n",
        b"3\r\nabc\r\n",
        b"2;ext=1\r\nde\r\n0\r\n\r\n",
        end=b"\r\n0\r\n\r\n",
    )
    assert b"transfer-encoding: chunked" in answer
    assert answer.endswith(b"\r\n\r\n5\r\nPOST \r\ne\r\n/lines [abcde]\r\n0\r\n\r\n")


async def test_head_has_no_body(connection: Connection) -> None:
    answer = await ask(connection, b"HEAD /a HTTP/1.1\r\nhost: cdn\r\n\r\n" + GET % b"b", end=b"GET /b []")
    assert b"content-length: 10\r\n" in answer
    assert b"HEAD /a" not in answer
    assert statuses(answer) == [200, 200]


async def test_a_client_that_expects_100_receives_it(connection: Connection) -> None:
    head = b"POST /a HTTP/1.1\r\nhost: cdn\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert await ask(connection, head, end=interim) == interim
    answer = await ask(connection, b"abc", end=b"POST /a [abc]")
    assert statuses(answer) == [200]


async def test_trailers_are_dropped(connection: Connection) -> None:
    answer = await ask(
        connection,
        b"POST /a HTTP/1.1\r\nhost: cdn\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\nauthorization: me\r\n\r\n",
        end=b"POST /a [abc]",
    )
    assert b"x-names: host,transfer-encoding\r\n" in answer


async def test_a_client_that_asks_to_close_is_closed(connection: Connection) -> None:
    answer = await ask(connection, b"GET /a HTTP/1.1\r\nhost: cdn\r\nconnection: close\r\n\r\n" + GET % b"b")
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


@pytest.mark.parametrize("pause", [0.0, 0.01])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"", b""),
        (b"content-length: 5\r\n", b"abcde"),
        (b"transfer-encoding: chunked\r\n", b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"),
    ],
)
async def test_an_upgrade_is_ignored_and_the_body_arrives(
    connection: Connection, framing: bytes, body: bytes, pause: float
) -> None:
    upgrade = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
    request = b"POST /a HTTP/1.1\r\nhost: cdn\r\n" + upgrade + framing + b"\r\n"
    pieces = [request + body] if not pause else [request[:40], request[40:], body]
    text = b"POST /a [%s]" % (b"abcde" if body else b"")
    answer = await ask(connection, *pieces, end=text, pause=pause)
    assert statuses(answer) == [200]
    # and the next request on the same session is a request
    answer = await ask(connection, request + body + GET % b"b", end=b"GET /b []")
    assert statuses(answer) == [200, 200]


@pytest.mark.parametrize("name", [b"a", b"lines"])
async def test_http_1_0_gets_no_transfer_coding_and_the_end_is_the_close(
    connection: Connection, name: bytes
) -> None:
    answer = await ask(connection, b"GET /%s HTTP/1.0\r\nhost: cdn\r\n\r\n" % name)
    assert b"transfer-encoding" not in answer
    assert b"connection: close" in answer
    assert answer.endswith(b"\r\n\r\nGET /%s []" % name)


async def test_a_body_that_ends_with_the_connection_is_not_cut_by_a_clean_end(connection: Connection) -> None:
    connection.writer.write(b"GET /cut HTTP/1.0\r\nhost: cdn\r\n\r\n")
    with pytest.raises((SmkexError, ConnectionError)):
        await asyncio.wait_for(connection.reader.read(), 5)


async def test_over_plain_tcp_a_cut_body_of_an_http_1_0_client_ends_with_a_reset() -> None:
    server = HttpServer(app, limits=LIMITS)
    await server.start()
    listener = await asyncio.get_running_loop().create_server(server.create_protocol, "127.0.0.1", 0)
    address = listener.sockets[0].getsockname()
    try:
        for path, is_cut in ((b"cut", True), (b"lines", False)):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"GET /%s HTTP/1.0\r\nhost: cdn\r\n\r\n" % path)
            if is_cut:
                with pytest.raises(ConnectionResetError):
                    await asyncio.wait_for(reader.read(), 5)
            else:
                assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"GET /lines []")
            writer.close()
    finally:
        listener.close()
        await server.stop()


async def test_white_space_around_values_is_no_part_of_them(connection: Connection) -> None:
    head = b"POST /a HTTP/1.1\r\nhost:\t cdn \t\r\ncontent-length: 3 \r\nexpect:  100-continue \r\n\r\n"
    assert await ask(connection, head, end=b"Continue\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    answer = await ask(connection, b"abc", end=b"POST /a [abc]")
    assert b"x-host: cdn\r\n" in answer


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"http://right.lab/a?b", b"/a", b"right.lab"),
        (b"HTTPS://Right.lab:443/a", b"/a", b"right.lab"),
        (b"http://right.lab", b"/", b"right.lab"),
        (b"http://right.lab:81?q", b"/", b"right.lab:81"),
    ],
)
async def test_the_authority_of_the_target_wins(
    connection: Connection, target: bytes, path: bytes, host: bytes
) -> None:
    request = b"GET %s HTTP/1.1\r\nhost: wrong.lab\r\n\r\n" % target
    answer = await ask(connection, request, end=b"GET %s []" % path)
    assert b"x-host: %s\r\n" % host in answer


@pytest.mark.parametrize(
    "host",
    [
        b"cdn.lab:80:80", b"a b", b"user@cdn.lab", b"<script>", b"cdn.lab:abc", b"[::1", b"c\xe9n", b"a/b", b"%zz",
        b"cdn.lab:99999", b"a,b c",
    ],
)  # fmt: skip
async def test_an_invalid_host_is_refused(connection: Connection, host: bytes) -> None:
    answer = await ask(connection, b"GET /a HTTP/1.1\r\nhost: %s\r\n\r\n" % host)
    assert statuses(answer) == [400]
    assert b"\r\ndate: " in answer


@pytest.mark.parametrize("target", [b"ftp://cdn/", b"http://a@b/", b"http:///a", b"*", b"/a#b", b"cdn:80"])
async def test_an_invalid_target_is_refused(connection: Connection, target: bytes) -> None:
    answer = await ask(connection, b"GET %s HTTP/1.1\r\nhost: cdn\r\n\r\n" % target)
    assert statuses(answer) == [400]


async def test_options_with_an_asterisk_is_a_request(connection: Connection) -> None:
    answer = await ask(connection, b"OPTIONS * HTTP/1.1\r\nhost: cdn\r\n\r\n", end=b"OPTIONS * []")
    assert statuses(answer) == [200]


@pytest.mark.parametrize(
    ("coding", "status"),
    [
        (b"gzip, chunked", 501),
        (b"xchunked, chunked", 501),
        (b"identity", 400),
        (b"identity, chunked", 400),
        (b"chunked, identity", 400),
        (b"gzip", 400),
        (b"chunked, chunked", 400),
    ],
)
async def test_no_transfer_coding_but_chunked_is_accepted(
    connection: Connection, coding: bytes, status: int
) -> None:
    request = POST + b"transfer-encoding: %s\r\n\r\n0\r\n\r\n" % coding
    assert statuses(await ask(connection, request)) == [status]


@pytest.mark.parametrize(
    "chunk", [b"xyz\r\nabc\r\n", b"3\r\nabcd\r\n", b"3\nabc\n", b"-1\r\n", b" 3\r\nabc\r\n"]
)
async def test_a_bad_chunk_is_answered_with_400(connection: Connection, chunk: bytes) -> None:
    assert statuses(await ask(connection, CHUNKED, chunk, pause=0.01)) == [400]


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/1.2", b"HTTP/3.0", b"HTTP/0.9"])
async def test_another_version_is_refused_by_name(connection: Connection, version: bytes) -> None:
    assert statuses(await ask(connection, b"GET /a %s\r\nhost: cdn\r\n\r\n" % version)) == [505]


async def test_a_request_line_without_a_version_is_refused(connection: Connection) -> None:
    assert statuses(await ask(connection, b"GET /a\r\n\r\n")) == [505]


@pytest.mark.parametrize(("method", "status"), [(b"FOO!x", 501), (b"get", 501), (b"G(T", 400)])
async def test_an_unknown_method_is_not_implemented(
    connection: Connection, method: bytes, status: int
) -> None:
    assert statuses(await ask(connection, b"%s /a HTTP/1.1\r\nhost: cdn\r\n\r\n" % method)) == [status]


@pytest.mark.parametrize("value", [b"100-CONTINUE", b", 100-continue ,", b"100-continue, 100-continue"])
async def test_an_expectation_is_found_in_its_list(connection: Connection, value: bytes) -> None:
    head = POST + b"content-length: 3\r\nexpect: %s\r\n\r\n" % value
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert await ask(connection, head, end=interim) == interim
    assert statuses(await ask(connection, b"abc", end=b"POST /a [abc]")) == [200]


@pytest.mark.parametrize("value", [b"foo", b"100-continue, foo", b"100-continue;q=1"])
async def test_an_unknown_expectation_fails(connection: Connection, value: bytes) -> None:
    answer = await ask(connection, POST + b"content-length: 3\r\nexpect: %s\r\n\r\n" % value)
    assert statuses(answer) == [417]


async def test_an_expectation_of_http_1_0_is_ignored(connection: Connection) -> None:
    request = b"POST /a HTTP/1.0\r\nhost: cdn\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc"
    assert statuses(await ask(connection, request)) == [200]


async def test_connect_is_not_supported(connection: Connection) -> None:
    answer = await ask(connection, b"CONNECT cdn:443 HTTP/1.1\r\nhost: cdn:443\r\n\r\n")
    assert statuses(answer) == [501]


POST = b"POST /a HTTP/1.1\r\nhost: cdn\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
SMUGGLED = [
    ("a length beside chunks", POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunks beside a length", POST + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n"),
    ("two lengths", POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
    ("two lengths in one", POST + b"content-length: 3, 3\r\n\r\nabc"),
    ("an invalid length", POST + b"content-length: +3\r\n\r\nabc"),
    ("a negative length", POST + b"content-length: -3\r\n\r\nabc"),
    ("a hexadecimal length", POST + b"content-length: 0x3\r\n\r\nabc"),
    ("another coding last", POST + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("an unknown coding", POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("an invalid chunk size", CHUNKED + b"xyz\r\nabc\r\n"),
    ("a chunk's size beyond bounds", CHUNKED + b"fffffffffffffffff\r\nabc\r\n"),
    ("a chunk longer than it says", CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n"),
    ("a bare line feed in a chunk", CHUNKED + b"3\nabc\n0\n\n"),
    ("a space before the colon", POST + b"content-length : 3\r\n\r\nabc"),
    ("a folded line", b"GET /a HTTP/1.1\r\nhost: cdn\r\nx: a\r\n content-length: 3\r\n\r\n"),
    ("a bare line feed", b"GET /a HTTP/1.1\nhost: cdn\n\n"),
    ("a bare carriage return", b"GET /a HTTP/1.1\r\nhost: cdn\r\nx: a\rb\r\n\r\n"),
    ("a nul", b"GET /a HTTP/1.1\r\nhost: cdn\r\nx: a\0b\r\n\r\n"),
    ("no host", b"GET /a HTTP/1.1\r\n\r\n"),
    ("two hosts", b"GET /a HTTP/1.1\r\nhost: cdn\r\nhost: other\r\n\r\n"),
    ("no HTTP", b"\x16\x03\x01 hello"),
    ("a target that is no path", b"GET a HTTP/1.1\r\nhost: cdn\r\n\r\n"),
]  # fmt: skip


@pytest.mark.parametrize("request_", [request for _, request in SMUGGLED], ids=[name for name, _ in SMUGGLED])
async def test_what_could_be_read_in_two_ways_is_refused(connection: Connection, request_: bytes) -> None:
    answer = await ask(connection, request_ + GET % b"smuggled")
    assert b"smuggled" not in answer
    assert 200 not in statuses(answer)


async def test_heads_are_bounded(connection: Connection) -> None:
    answer = await ask(connection, b"GET /a HTTP/1.1\r\nhost: cdn\r\n" + b"x: y\r\n" * 200 + b"\r\n")
    assert statuses(answer) == [431]


async def test_a_line_without_end_is_cut(connection: Connection) -> None:
    answer = await ask(connection, b"GET /a HTTP/1.1\r\nhost: cdn\r\nx: ", *[b"y" * 10_000] * 20)
    assert statuses(answer) == [431]


async def test_trailers_are_bounded(connection: Connection) -> None:
    answer = await ask(connection, CHUNKED + b"3\r\nabc\r\n0\r\nx: ", *[b"y" * 10_000] * 20, b"\r\n\r\n")
    assert 200 not in statuses(answer)


async def test_the_extensions_of_chunks_are_bounded(connection: Connection) -> None:
    answer = await ask(connection, CHUNKED + b"3;x=", *[b"y" * 10_000] * 20, b"\r\nabc\r\n0\r\n\r\n")
    assert 200 not in statuses(answer)


async def test_the_extensions_of_all_chunks_together_are_bounded(connection: Connection) -> None:
    chunk = b"1;x=" + b"y" * 1000 + b"\r\na\r\n"
    answer = await ask(connection, CHUNKED, *[chunk] * 40, b"0\r\n\r\n", pause=0.001)
    assert statuses(answer) == [431]


@pytest.mark.parametrize("size", [1, 3, 100, 5000])
async def test_chunks_without_extensions_are_as_many_as_they_are(connection: Connection, size: int) -> None:
    chunk = b"%x\r\n%s\r\n" % (size, b"a" * size)
    sent = CHUNKED + chunk * 20_000 + b"0\r\n\r\n" if size < 1000 else CHUNKED + chunk * 50 + b"0\r\n\r\n"
    pieces = [sent[at : at + 10_001] for at in range(0, len(sent), 10_001)]
    assert statuses(await ask(connection, *pieces, end=b"]")) == [200]


async def test_requests_that_wait_for_an_answer_are_bounded(connection: Connection) -> None:
    answer = await ask(connection, (GET % b"slow") + (GET % b"a") * 1000)
    assert statuses(answer) == [*[200] * LIMITS.waiting, 400]


async def test_targets_are_bounded(connection: Connection) -> None:
    assert statuses(await ask(connection, GET % (b"a" * 9000))) == [414]


async def test_a_head_that_trickles_in_is_given_up(hurried: Connection) -> None:
    answer = await ask(hurried, b"GET /a HTTP/1.1\r\n", *[b"x: y\r\n"] * 40, pause=0.05)
    assert statuses(answer) == [408]


async def test_a_body_that_stops_is_given_up(hurried: Connection) -> None:
    answer = await ask(hurried, b"POST /a HTTP/1.1\r\nhost: cdn\r\ncontent-length: 10\r\n\r\nabc")
    assert statuses(answer) == [408]


async def test_a_session_without_a_request_is_closed(hurried: Connection) -> None:
    async with asyncio.timeout(10):
        assert await hurried.reader.read() == b""


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    async with HttpEdge(IMPATIENT) as edge:
        await edge.server.start()
        connection = await edge.connect()
        connection.writer.write(GET % b"large")
        await until(lambda: edge.sessions and edge.session.is_closing())
        await connection.close()
        await edge.server.stop()


@pytest.mark.parametrize("confirmed", [None, False, True])
async def test_an_application_sees_whether_the_second_path_is_confirmed(confirmed: bool | None) -> None:
    """By default it is, as both paths of the client are; over HTTPS there is nothing to see."""

    async def report(scope: dict[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] == "http":
            found = scope["extensions"].get(PATH_CONFIRMED)
            text = b"absent" if found is None else b"%d" % found()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
            await send({"type": "http.response.body", "body": text})

    class Edge(LoopbackEdge):
        def _serve(self, session: SessionDriver) -> None:
            if confirmed is not True:
                session._extra["path_confirmed"] = None if confirmed is None else lambda: confirmed
            self.sessions.append(session)
            session.start(server.create_protocol())

    server = HttpServer(report)
    await server.start()
    async with Edge() as edge:
        connection = await edge.connect()
        await until(lambda: edge.sessions and len(edge.session.paths) == 2)
        connection.writer.write(b"GET / HTTP/1.1\r\nhost: edge\r\n\r\n")
        answer = await asyncio.wait_for(connection.reader.read(), 5)
        said = b"absent" if confirmed is None else b"%d" % confirmed
        assert answer.endswith(b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(said), said))
        await connection.close()
    await server.stop()


async def test_an_application_exports_what_the_client_does() -> None:
    async def export(scope: dict[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] == "http":
            exporter = scope["extensions"][EXPORTER]
            body = exporter.tag + exporter.export("label", b"context", 8)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
            await send({"type": "http.response.body", "body": body})

    server = HttpServer(export)
    await server.start()
    async with LoopbackEdge(protocol=server.create_protocol) as edge:
        connection = await edge.connect()
        connection.writer.write(b"GET / HTTP/1.1\r\nhost: edge\r\n\r\n")
        answer = await asyncio.wait_for(connection.reader.read(), 5)
        expected = connection.exporter.tag + connection.exporter.export("label", b"context", 8)
        assert expected in answer
        await connection.close()
    await server.stop()
