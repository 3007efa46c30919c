"""The origin's 103 (RFC 8297) reaches the client whose request it answers, on real sockets; others get none."""

import asyncio
from pathlib import Path

import pytest
from loopback import until
from scripted_server import END, ScriptedServer, answer
from served_cache import Worker, served

LINK = b"link: </style.css>; rel=preload; as=style"
HINTS = b"HTTP/1.1 103 Early Hints\r\n"


def hints(*fields: bytes) -> bytes:
    return HINTS + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


async def exchange(worker: Worker, request: bytes) -> bytes:
    """What the edge answers until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.client.base_url.port)
    writer.write(request)
    said = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return said


def request(method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    return b"%s /a HTTP/%s\r\nhost: cdn\r\nconnection: close\r\n\r\n" % (method, version)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
async def test_hints_come_before_the_response_and_are_not_stored(tmp_path: Path, method: bytes) -> None:
    origin = ScriptedServer(
        lambda asked: [hints(LINK) + answer(b"body" * (method != b"HEAD"), "cache-control: max-age=60")]
    )
    async with served(tmp_path, origin) as (worker,):
        said = await exchange(worker, request(method))
        assert said.startswith(hints(LINK) + b"HTTP/1.1 200 OK\r\n")
        assert HINTS not in said.partition(END)[2]
        if method == b"GET":
            await until(lambda: not worker.proxy.fetches.busy)
            again = await exchange(worker, request())
            assert again.startswith(b"HTTP/1.1 200 OK\r\n"), "a hit has no hints"
            assert len(origin.asked) == 1


async def test_several_hints_come_in_their_order(tmp_path: Path) -> None:
    both = hints(b"link: </1>; rel=preload") + hints(b"link: </2>; rel=preload")
    origin = ScriptedServer(lambda asked: [both + answer(b"body")])
    async with served(tmp_path, origin) as (worker,):
        assert (await exchange(worker, request())).startswith(both + b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 199 Whatever\r\n\r\n",
        hints(b"connection: x", b"x: 1", b"cdn-cache-control: max-age=9", b"content-length: 3"),
        hints(b"link: a\x01b"),
        hints(b"link: " + b"a" * 10_000),
    ],
    ids=["100", "102", "unknown", "of this hop alone", "control character", "too large"],
)
async def test_what_is_no_hint_for_a_client_stays_here(tmp_path: Path, interim: bytes) -> None:
    origin = ScriptedServer(lambda asked: [interim + answer(b"body")])
    async with served(tmp_path, origin) as (worker,):
        assert (await exchange(worker, request())).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_client_of_http_1_0_gets_the_response_alone(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [hints(LINK) + answer(b"body")])
    async with served(tmp_path, origin) as (worker,):
        assert (await exchange(worker, request(version=b"1.0"))).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_hints_of_a_background_revalidation_reach_no_client(tmp_path: Path) -> None:
    stale = ("cache-control: max-age=0, stale-while-revalidate=600",)
    origin = ScriptedServer(lambda asked: [hints(LINK) + answer(b"body", *stale)])
    async with served(tmp_path, origin) as (worker,):
        first = await exchange(worker, request())
        assert first.startswith(HINTS)
        for _ in range(3):
            await until(lambda: not worker.proxy.fetches.busy)
            again = await exchange(worker, request())
            assert again.startswith(b"HTTP/1.1 200 OK\r\n")
            assert HINTS not in again
