"""httpx over sessions, with an event loop and without: pooling, bodies both ways, errors, an end in order."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import httpx
import pytest
from http_edge import LONG, http_edge
from loopback import LoopbackEdge

import smkex
from smkex.client.http.sync_transport import SmkexSyncTransport
from smkex.client.http.transport import SmkexTransport
from smkex.core import errors
from smkex.core.errors import SharedPath

T = TypeVar("T")


@pytest.fixture
async def edge() -> AsyncIterator[LoopbackEdge]:
    async with http_edge() as edge:
        yield edge


def url(edge: LoopbackEdge, path: str) -> str:
    return f"smkex://127.0.0.1:{edge.port}{path}"


async def without_loop(edge: LoopbackEdge, work: Callable[[httpx.Client, SmkexSyncTransport], T]) -> T:
    """Run `work` in a thread that has no event loop, with a client of its own."""

    def run() -> T:
        transport = SmkexSyncTransport(edge.options)
        with httpx.Client(transport=transport) as client:
            return work(client, transport)

    return await asyncio.to_thread(run)


async def test_async_requests_share_a_session_and_report_it(edge: LoopbackEdge) -> None:
    transport = SmkexTransport(edge.options)
    async with httpx.AsyncClient(transport=transport) as client:
        for _ in range(3):
            assert (await client.get(url(edge, "/x"))).text.startswith("GET /x ")
        (report,) = transport.reports()
        assert report.owner_id == 1
    assert len(edge.sessions) == 1


async def test_sync_requests_share_a_session_and_report_it(edge: LoopbackEdge) -> None:
    def work(client: httpx.Client, transport: SmkexSyncTransport) -> int:
        for _ in range(3):
            assert client.get(url(edge, "/x")).text.startswith("GET /x ")
        (report,) = transport.reports()
        return report.owner_id

    assert await without_loop(edge, work) == 1
    assert len(edge.sessions) == 1


async def test_sync_bodies_go_both_ways(edge: LoopbackEdge) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(10):
            yield b"y" * 100_000

    def work(client: httpx.Client, _: SmkexSyncTransport) -> None:
        assert len(client.get(url(edge, "/long")).content) == LONG
        assert client.post(url(edge, "/up"), content=parts()).content.endswith(b"\n" + b"y" * 1_000_000)
        assert client.post(url(edge, "/up"), json={"a": 1}).content.endswith(b'{"a":1}')
        with client.stream("GET", url(edge, "/long")) as response:
            assert next(response.iter_bytes(1000)) == b"x" * 1000  # and the rest is left
        assert client.get(url(edge, "/x")).status_code == 200

    await without_loop(edge, work)


async def test_a_sync_client_serves_several_threads(edge: LoopbackEdge) -> None:
    def work(client: httpx.Client, _: SmkexSyncTransport) -> list[int]:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(len(client.get(url(edge, "/long")).content)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    assert await without_loop(edge, work) == [LONG] * 4


async def test_sync_errors_are_those_of_the_key_exchange_and_of_httpx(edge: LoopbackEdge) -> None:
    def work(client: httpx.Client, _: SmkexSyncTransport) -> None:
        with pytest.raises(httpx.UnsupportedProtocol):
            client.get("https://127.0.0.1/")
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(url(edge, "/broken"))
        strict = replace(edge.options, paths=["lo", "lo"], allow_shared_path=False)
        with httpx.Client(transport=SmkexSyncTransport(strict)) as other, pytest.raises(SharedPath):
            other.get(url(edge, "/"))

    await without_loop(edge, work)


async def test_closing_ends_the_thread(edge: LoopbackEdge) -> None:
    def work(client: httpx.Client, _: SmkexSyncTransport) -> None:
        client.get(url(edge, "/x"))
        assert "smkex" in {thread.name for thread in threading.enumerate()}

    await without_loop(edge, work)
    assert "smkex" not in {thread.name for thread in threading.enumerate()}


def test_the_package_loads_the_client_only_when_it_is_asked_for() -> None:
    program = (
        "import sys, smkex, smkex.core.session.record\n"
        "assert not {'asyncio', 'httpx', 'smkex.client'} & set(sys.modules), sys.modules\n"
        "assert smkex.connect.__module__ == 'smkex.client.connect'\n"
        "try: smkex.nothing\n"
        "except AttributeError: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_public_name_and_every_error_is_exported_flat() -> None:
    for name in smkex.__all__:
        assert getattr(smkex, name).__name__ == name
    raised = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    raised = {name for name in raised if issubclass(getattr(errors, name), errors.SmkexError)}
    assert raised <= set(smkex.__all__)
