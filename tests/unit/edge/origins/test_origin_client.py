"""Connections to the origin: however slow some clients are, the others are answered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from loopback import until

from edge.http.fields import Pairs
from edge.http.origin_response import OriginFailed, OriginResponse
from edge.http.request import ClientRequest
from edge.origins import origin_client
from edge.origins.assembly import single_origin
from edge.origins.origin_group import ServiceOrigins
from edge.proxy.pass_through import forward_request

CONNECTIONS = 6
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Origin:
    """A real server that answers once it has the whole request."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if b"chunked" in head.lower():
                    await reader.readuntil(b"0\r\n\r\n")
                writer.write(ANSWER)


@pytest.fixture
async def origin() -> AsyncIterator[tuple[Origin, str]]:
    made = Origin()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield made, f"http://127.0.0.1:{port}"
    server.close()


def upload(client: str) -> ClientRequest:
    headers = [(b"host", b"cdn"), (b"transfer-encoding", b"chunked")]
    scope = {"method": "POST", "raw_path": b"/a", "query_string": b"", "headers": headers}
    return ClientRequest.of({**scope, "client": (client, 1024)})


async def never_ends() -> AsyncIterator[bytes]:
    yield b"a"
    await asyncio.Event().wait()


async def no_more(answer: OriginResponse) -> Pairs:
    return []


async def ignore(message: object) -> None:
    pass


@asynccontextmanager
async def uploading(asks: ServiceOrigins, clients: list[str]) -> AsyncIterator[None]:
    """Uploads that never end, one for each of `clients`."""
    slow = [
        asyncio.create_task(forward_request(asks, upload(client), never_ends(), no_more, ignore))
        for client in clients
    ]
    try:
        yield
    finally:
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        await asks.close()


async def test_clients_that_never_finish_their_bodies_leave_connections_for_the_others(
    origin: tuple[Origin, str],
) -> None:
    it, url = origin
    asks = single_origin(url, "edge1", connections=CONNECTIONS)
    async with uploading(asks, [f"10.0.{number}.1" for number in range(2 * CONNECTIONS)]):
        await until(lambda: len(it.heads) >= CONNECTIONS // 2)
        async with asks.request("GET", b"/b", [("host", "cdn")]) as answer:
            assert answer.status == 200
            assert [part async for part in answer.parts] == [b"ok"]


async def test_one_network_that_never_finishes_leaves_places_for_uploads_of_others(
    origin: tuple[Origin, str],
) -> None:
    it, url = origin
    asks = single_origin(url, "edge1", connections=16)

    async def one_part() -> AsyncIterator[bytes]:
        yield b"a"

    async with uploading(asks, [f"10.0.0.{number}" for number in range(1, 17)]):
        await until(lambda: len(it.heads) >= 2)
        answer = await asyncio.wait_for(
            forward_request(asks, upload("10.0.1.1"), one_part(), no_more, ignore), 5
        )
        assert answer.status == 200
        assert len(it.heads) == 3
    assert not asks.members[0].client._of_prefix  # nothing is kept of networks that have left


async def test_waiting_too_long_for_a_connection_is_a_504(
    origin: tuple[Origin, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin_client, "POOL_TIMEOUT", 0.05)
    it, url = origin
    asks = single_origin(url, "edge1", connections=8)
    async with uploading(asks, ["10.0.0.1"]):
        await until(lambda: len(it.heads) == 1)
        with pytest.raises(OriginFailed) as failed:
            await forward_request(asks, upload("10.0.0.2"), never_ends(), no_more, ignore)
        assert failed.value.status == 504
