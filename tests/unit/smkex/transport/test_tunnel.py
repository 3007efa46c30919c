"""A tunnel end to end on loopback: program, entrance, session, target. Ends, errors and limits pass through it."""

import asyncio
import hashlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from free_ports import free_port
from loopback import two_neighbouring_ports, until
from proxy_protocol import read_paths, read_proxy_header

import smkex
from smkex.client.bounded_sessions import BoundedSessions
from smkex.client.carried_connections import SessionTarget
from smkex.client.events import Event, Failed, SessionEnded, SessionOpened
from smkex.client.local_entrance import LocalEntrance
from smkex.server.tcp_target import TargetRelay

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SIZE = 5_000_000


@dataclass
class Tunnel:
    port: int
    sessions: BoundedSessions
    entrance: LocalEntrance
    server: smkex.SessionServer
    events: list[Event]
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect as a program does, which stays: from Python 3.13 on, one that is dropped closes at once."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.opened.append(writer)
        return reader, writer


@asynccontextmanager
async def tunnelled(
    serve: Serve, *, idle: float = 20, connections: int = 8, target_port: int | None = None, **relay: Any
) -> AsyncIterator[Tunnel]:
    target = await asyncio.start_server(serve, "127.0.0.1", 0)
    where = target_port or target.sockets[0].getsockname()[1]
    port = two_neighbouring_ports()
    server = await smkex.start_server(
        TargetRelay(host="127.0.0.1", port=where, **relay),
        "127.0.0.1",
        port,
        options=smkex.ServerOptions(id_port_base=port, require_both=True),
    )
    options = smkex.ConnectOptions(paths=["lo"], id_port_base=port, allow_shared_path=True, known_hosts=None)
    events: list[Event] = []
    sessions = BoundedSessions(options, events.append, connections)

    async def find_target(_: object) -> SessionTarget:
        return SessionTarget("127.0.0.1", port)

    entrance = LocalEntrance(find_target, sessions, events.append, connections=connections, idle=idle)
    sock = socket.create_server(("127.0.0.1", 0))
    await entrance.listen_on(sock)
    try:
        yield Tunnel(sock.getsockname()[1], sessions, entrance, server, events)
    finally:
        await entrance.stop()
        await server.close()
        target.close()


async def echo_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer only after the program's direction has ended, and then end this one."""
    data = await reader.read(-1)
    writer.write(hashlib.sha256(data).digest() + data)
    writer.write_eof()


async def test_each_direction_ends_by_itself_and_nothing_is_lost() -> None:
    async with tunnelled(echo_at_the_end) as tunnel:
        reader, writer = await tunnel.connect()
        data = bytes(range(256)) * (SIZE // 256)
        writer.write(data)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(-1), 30)
        assert answer == hashlib.sha256(data).digest() + data
        writer.close()
        await until(lambda: len(tunnel.entrance) == 0 and not tunnel.server.reports())
        assert [type(event) for event in tunnel.events] == [SessionOpened, SessionEnded]


async def test_a_target_that_reads_late_gets_more_than_all_buffers_hold() -> None:
    size, go = 64 << 20, asyncio.Event()
    received = hashlib.sha256()

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        while data := await reader.read(1 << 16):
            received.update(data)
        writer.write_eof()

    block = bytes(range(256)) * 1021
    async with tunnelled(read_late) as tunnel:
        reader, writer = await tunnel.connect()

        written = 0

        async def write_all() -> None:
            nonlocal written
            while written < size:
                writer.write(block)
                await writer.drain()
                written += len(block)
            writer.write_eof()

        writing = asyncio.create_task(write_all())
        await until(lambda: written > 4 << 20)
        assert not writing.done()
        go.set()
        await writing
        assert await reader.read() == b""
    assert received.digest() == hashlib.sha256(block * (written // len(block))).digest()


@dataclass
class Flood:
    """A target that sends more than all buffers hold."""

    size: int = 64 << 20
    written: int = 0
    error: type[OSError] | None = None
    block: bytes = bytes(range(256)) * 1021

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while self.written < self.size:
                writer.write(self.block)
                await writer.drain()
                self.written += len(self.block)
            writer.write_eof()
        except OSError as error:
            self.error = type(error)
        finally:
            writer.close()

    async def wait_until_it_stops(self) -> None:
        """Wait until nothing has been written for half a second."""
        before = -1
        while not 4 << 20 < before == self.written:
            before = self.written
            await asyncio.sleep(0.5)


async def test_a_program_that_reads_late_gets_more_than_all_buffers_hold() -> None:
    flood = Flood()
    async with tunnelled(flood.serve) as tunnel:
        before = len(os.listdir("/proc/self/fd"))
        reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.port, limit=1 << 16)
        await flood.wait_until_it_stops()
        assert flood.written < flood.size
        received, count = hashlib.sha256(), 0
        while data := await asyncio.wait_for(reader.read(1 << 16), 30):
            received.update(data)
            count += len(data)
        assert count == flood.written
        assert received.digest() == hashlib.sha256(flood.block * (count // len(flood.block))).digest()
        writer.close()
        await until(lambda: len(tunnel.entrance) == 0 and not tunnel.server.reports())
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_a_program_that_breaks_off_while_data_waits_for_it_resets_the_target() -> None:
    flood = Flood()
    async with tunnelled(flood.serve) as tunnel:
        _, writer = await asyncio.open_connection("127.0.0.1", tunnel.port, limit=1 << 16)
        await flood.wait_until_it_stops()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await until(lambda: flood.error is not None)
        assert flood.error in (ConnectionResetError, BrokenPipeError)
        await until(lambda: len(tunnel.entrance) == 0 and not tunnel.server.reports())


async def test_the_target_may_end_first_and_still_receive() -> None:
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def greet_and_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.write_eof()
        received.set_result(await reader.read(-1))

    async with tunnelled(greet_and_listen) as tunnel:
        reader, writer = await tunnel.connect()
        assert await asyncio.wait_for(reader.read(-1), 10) == b"hello"
        writer.write(b"still here")
        writer.write_eof()
        assert await asyncio.wait_for(received, 10) == b"still here"


async def test_a_target_that_breaks_off_resets_the_program() -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half of ")
        await writer.drain()
        await reader.readexactly(1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with tunnelled(break_off) as tunnel:
        reader, writer = await tunnel.connect()
        assert await asyncio.wait_for(reader.readexactly(8), 10) == b"half of "
        writer.write(b"!")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(-1), 10)


async def test_a_program_that_breaks_off_resets_the_target() -> None:
    ended: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            ended.set_result(await reader.read(-1))
        except OSError as error:
            ended.set_result(type(error))

    async with tunnelled(listen) as tunnel:
        _, writer = await tunnel.connect()
        writer.write(b"half of ")
        await until(lambda: len(tunnel.server.reports()) == 1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        assert await asyncio.wait_for(ended, 10) is ConnectionResetError


async def test_a_target_that_cannot_be_reached_resets_the_program_and_says_so() -> None:
    port = free_port()
    async with tunnelled(echo_at_the_end, target_port=port) as tunnel:
        reader, _ = await tunnel.connect()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(-1), 10)
        await until(lambda: any(isinstance(event, Failed) for event in tunnel.events))


async def test_a_server_that_is_not_there_is_said() -> None:
    port = free_port()
    options = smkex.ConnectOptions(paths=["lo"], id_port_base=port, allow_shared_path=True, known_hosts=None)
    events: list[Event] = []

    async def find_target(_: object) -> SessionTarget:
        return SessionTarget("127.0.0.1", port)

    entrance = LocalEntrance(find_target, BoundedSessions(options, events.append, 1), events.append)
    sock = socket.create_server(("127.0.0.1", 0))
    await entrance.listen_on(sock)
    reader, _ = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(-1), 10)
    await until(lambda: any(isinstance(event, Failed) for event in events))
    await entrance.stop()


async def test_silence_in_both_directions_ends_a_session() -> None:
    async with tunnelled(echo_at_the_end, idle=0.3) as tunnel:
        reader, _ = await tunnel.connect()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(-1), 10)
        await until(lambda: not tunnel.server.reports())


async def test_the_targets_side_has_an_idle_limit_of_its_own() -> None:
    async with tunnelled(echo_at_the_end, idle_timeout=0.3) as tunnel:
        reader, _ = await tunnel.connect()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(-1), 10)


async def test_programs_beyond_the_limit_are_reset() -> None:
    async with tunnelled(echo_at_the_end, connections=1) as tunnel:
        await tunnel.connect()
        await until(lambda: len(tunnel.server.reports()) == 1)
        with suppress(ConnectionResetError):  # it may come before the connection is made
            reader, _ = await tunnel.connect()
            assert await asyncio.wait_for(reader.read(-1), 10) == b"never"
        assert tunnel.events[-1].error == "TooManyConnections"  # type: ignore[union-attr]


async def test_without_a_session_nothing_reaches_the_target() -> None:
    reached = asyncio.Event()

    async def notice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()

    async with tunnelled(notice) as tunnel:
        await tunnel.server.stop_accepting()
        reader, _ = await tunnel.connect()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(-1), 20)
        assert not reached.is_set()


async def test_the_proxy_header_has_the_addresses_of_both_paths_and_the_mode() -> None:
    header: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def read_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header.set_result(await read_proxy_header(reader))
        writer.write(await reader.readexactly(4))
        writer.write_eof()

    async with tunnelled(read_header, proxy_protocol=True) as tunnel:
        reader, writer = await tunnel.connect()
        writer.write(b"ping")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), 10) == b"ping"
        found = await header
        opened = tunnel.events[0]
        assert isinstance(opened, SessionOpened)
        observed = [path.observed for path in opened.report.paths]
        assert "{}:{}".format(*found.source) == observed[0]
        assert found.destination == tunnel.server.addresses[0]
        assert found.values[0xE0] == b"opportunistic"
        paths = [
            (number, ingress, f"{host.removeprefix('::ffff:')}:{port}")
            for number, ingress, host, port in read_paths(found.values[0xE1])
        ]
        assert paths == [(0, 1, observed[0]), (1, 1, observed[1])]
        assert found.values[0xE2] == b"\1"
        assert found.values[0xE3] == b"\0\1"
        assert len(found.values[0x05]) == 16


async def test_sessions_that_run_are_listed_with_their_reports() -> None:
    async with tunnelled(echo_at_the_end) as tunnel:
        await tunnel.connect()
        await until(lambda: len(tunnel.sessions.list_sessions()) == 1)
        (listed,) = tunnel.sessions.list_sessions()
        assert listed["host"] == "127.0.0.1"
        assert len(listed["paths"]) == 2
        assert "session   tcp to 127.0.0.1" in listed["text"]
