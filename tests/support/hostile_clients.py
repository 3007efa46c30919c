"""Clients that cost an edge what they can, again and again, and honest ones beside them. For tests."""

import asyncio
import contextlib
import hashlib
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from edge_process import EdgeProcess
from free_ports import free_port

from smkex.client import ConnectOptions, connect
from smkex.client.connection import Connection
from smkex.core.errors import Overloaded, PeerAborted, SmkexError

GET = b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n"
PAUSE = 0.05  # seconds between two bytes of those that trickle
HELD = 3.0  # seconds for which a hostile client keeps what it has taken
BROKEN_OFF = (SmkexError, OSError, EOFError, asyncio.IncompleteReadError, TimeoutError)

Hostile = Callable[["Victim"], Awaitable[None]]


@dataclass
class Victim:
    """The edge under attack; raw connections come from other prefixes than honest clients."""

    edge: EdgeProcess
    share: bytes = b""  # a genuine ClientShare

    async def open_session(self) -> Connection:
        options = ConnectOptions(
            paths=["lo"], id_port_base=self.edge.port, allow_shared_path=True, known_hosts=None, timeout=30
        )
        return await connect("127.0.0.1", port=self.edge.port, options=options)

    @contextlib.contextmanager
    def raw(self, locator: bool = False) -> Iterator[socket.socket]:
        """A TCP connection to the service port or the locator."""
        sock = socket.socket()
        with sock:
            sock.setblocking(False)
            sock.bind(
                (f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}", 0)
            )
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", self.edge.port + locator))
            yield sock


async def capture_client_share() -> bytes:
    """What a client sends first; its listener says nothing."""
    port = free_port(2)
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(4096)
        if not got.done():
            got.set_result(data)
        writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", port)
    async with server:
        options = ConnectOptions(paths=["lo"], id_port_base=port, allow_shared_path=True, known_hosts=None)
        with contextlib.suppress(*BROKEN_OFF):
            await connect("127.0.0.1", port=port, options=options)
        return await got


def stop_reading(connection: Connection) -> None:
    for flow in list(connection.session._flows):
        flow.pause_reading()


# --- in a session


async def acknowledge_nothing(victim: Victim) -> None:
    connection = await victim.open_session()
    connection.writer.write(GET * 4)
    await connection.reader.readexactly(1)
    stop_reading(connection)
    await asyncio.sleep(HELD)
    connection.session.abort()


async def open_windows_and_stop(victim: Victim) -> None:
    connection = await victim.open_session()
    connection.writer.write(GET)
    await connection.reader.readexactly(2 << 20)
    stop_reading(connection)
    await asyncio.sleep(HELD)
    connection.session.abort()


async def trickle_reads(victim: Victim) -> None:
    connection = await victim.open_session()
    connection.writer.write(GET)
    for _ in range(int(HELD / PAUSE)):
        await connection.reader.read(1000)
        await asyncio.sleep(PAUSE)
    connection.session.abort()


async def trickle_a_head(victim: Victim) -> None:
    connection = await victim.open_session()
    connection.writer.write(b"GET /large HTTP/1.1\r\nhost: localhost\r\n")
    for number in range(int(HELD / PAUSE)):
        connection.writer.write(b"x%d: %s\r\n" % (number, b"y" * 100))
        await asyncio.sleep(PAUSE)
    connection.session.abort()


async def half_close_and_take_nothing(victim: Victim) -> None:
    connection = await victim.open_session()
    connection.writer.write(GET * 2)
    connection.writer.write_eof()
    stop_reading(connection)
    await asyncio.sleep(HELD)
    connection.session.abort()


async def announce_a_body_that_never_comes(victim: Victim) -> None:
    connection = await victim.open_session()
    lie = random.choice((b"content-length: 60000000", b"transfer-encoding: chunked"))
    connection.writer.write(b"POST /large HTTP/1.1\r\nhost: localhost\r\n%s\r\n\r\n" % lie)
    connection.writer.write(b"fffffff\r\n" if b"chunked" in lie else b"")
    connection.writer.write(bytes(1 << 20))
    await asyncio.sleep(HELD)
    connection.session.abort()


async def reset_in_the_middle(victim: Victim) -> None:
    connection = await victim.open_session()
    connection.writer.write(GET)
    await connection.reader.readexactly(1 << 16)
    for flow in list(connection.session._flows):
        flow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        flow.abort()
    connection.session.abort()


# --- before a session


async def forge_lengths(victim: Victim) -> None:
    """A frame of the greatest length, and as much of it as goes out."""
    for locator in (False, True):
        with victim.raw(locator) as sock:
            await _send(sock, bytes([random.choice((1, 3, 5, 22, 0xFF))]) + b"\xff\xff\xff" + bytes(1 << 16))
            await asyncio.sleep(HELD / 2)


async def leave_handshakes_half_done(victim: Victim) -> None:
    """Many connections: nothing, half a ClientShare, a whole one whose second path never comes."""
    with contextlib.ExitStack() as stack:
        for number in range(20):
            sock = stack.enter_context(victim.raw())
            share = (
                victim.share[:5] + random.randbytes(16) + victim.share[21:]
            )  # session ids are the client's
            await _send(sock, (b"", share[:30], share)[number % 3])
        await asyncio.sleep(HELD)


async def trickle_a_handshake(victim: Victim) -> None:
    with victim.raw() as sock:
        for byte in victim.share[: int(HELD / PAUSE)]:
            await _send(sock, bytes([byte]))
            await asyncio.sleep(PAUSE)


async def half_close_at_once(victim: Victim) -> None:
    with victim.raw() as sock:
        await _send(sock, victim.share)
        sock.shutdown(socket.SHUT_WR)
        await asyncio.sleep(HELD)


async def _send(sock: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(HELD):
        await asyncio.get_running_loop().sock_sendall(sock, data)


HOSTILE: tuple[Hostile, ...] = (
    acknowledge_nothing,
    open_windows_and_stop,
    trickle_reads,
    trickle_a_head,
    half_close_and_take_nothing,
    announce_a_body_that_never_comes,
    reset_in_the_middle,
    forge_lengths,
    leave_handshakes_half_done,
    trickle_a_handshake,
    half_close_at_once,
)


@dataclass
class Attack:
    """How often each kind of client attacked."""

    rounds: Counter[str] = field(default_factory=Counter)


@asynccontextmanager
async def under_attack(edge: EdgeProcess, each: int) -> AsyncIterator[Attack]:
    """`each` hostile clients of every kind, again and again, to the end of the block."""
    attack, victim = Attack(), Victim(edge, await capture_client_share())

    async def go_on(hostile: Hostile) -> None:
        while True:
            with contextlib.suppress(*BROKEN_OFF):  # the edge ends them: that is right
                await hostile(victim)
            attack.rounds[hostile.__name__] += 1
            await asyncio.sleep(PAUSE)

    tasks = [asyncio.create_task(go_on(hostile)) for hostile in HOSTILE for _ in range(each)]
    try:
        yield attack
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def download_honestly(edge: EdgeProcess, wanted: str, seconds: float = 60) -> None:
    """A whole download, by its digest. An overloaded edge may say so, and must serve within `seconds` all the same."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(_Refused):
                return await _download_once(edge, wanted)
            await asyncio.sleep(PAUSE)


class _Refused(Exception):
    pass


async def _download_once(edge: EdgeProcess, wanted: str) -> None:
    try:
        connection = await Victim(edge).open_session()
        connection.writer.write(GET)
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        digest = hashlib.sha256()
        while left:
            data = await connection.reader.read(1 << 20)
            if not data:
                raise _Refused
            digest.update(data)
            left -= len(data)
    except PeerAborted as error:
        if error.peer_code != Overloaded.code:
            raise
        raise _Refused from None
    assert digest.hexdigest() == wanted
    await connection.close()
