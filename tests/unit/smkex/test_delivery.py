"""What a session's transport hands to its protocol: all of it, in order, and nothing after the end."""

import asyncio
import contextlib
import gc
import socket
import sys
import weakref
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from unittest.mock import Mock

import pytest
from wires import fresh_keys, same_keys

from smkex.core.errors import SmkexError
from smkex.core.handshake.established import Established
from smkex.core.session.record import SealedRecord
from smkex.core.session.session import Session
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Endpoint, Mode, Observation
from smkex.core.wire.named_group import NamedGroup
from smkex.transport.driver import SessionDriver
from smkex.transport.flow import Flow
from smkex.transport.poller import WRITABLE

TINY = 2  # bytes of a record that no honest peer sends


class Wire:
    """The other end of a flow's connection."""

    def __init__(self) -> None:
        ours, self._end = socket.socketpair()
        ours.setblocking(False)
        self._end.setblocking(False)
        self.flow = Flow(ours, ("", 0))

    def take(self) -> bytes:
        """Return what has been written to the flow."""
        written = b""
        self.flow.flush()
        with contextlib.suppress(BlockingIOError):
            while part := self._end.recv(1 << 20):
                written += part
            self._end.close()
        if self.flow.unsent:
            self.flow.on_event(WRITABLE, 0.0)
            written += self.take()
        return written


class Pair:
    """A session's transport, and the core of a session at its other end."""

    def __init__(self, paths: int = 1) -> None:
        keys = fresh_keys()
        seen = Observation(1, Endpoint(ip_address("192.0.2.1"), 1))
        established = Established(
            same_keys(keys), Mode.OPPORTUNISTIC, NamedGroup.X25519, bytes(16), 1, (seen, seen)
        )
        self.transport = SessionDriver(established, "client", {})
        self.other = Session(keys, "server")
        self.wires = [Wire() for _ in range(paths)]
        for path, wire in enumerate(self.wires):
            self.transport.add_flow(path, wire.flow, FrameReader())
            self.other.add_path(path, FrameReader(), 0.01, 0.0)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def exchange(self) -> None:
        """Carry what both ends have to say until there is nothing more."""
        said = True
        while said:
            said = False
            for path, wire in enumerate(self.wires):
                if up := wire.take():
                    self.other.receive(path, up, self.now)
                down = b"".join(self._frames(path))
                if down:
                    self.transport.flow_received(self.wires[path].flow, down, self.now)
                said = said or bool(up or down)

    def _frames(self, path: int) -> Iterator[bytes]:
        while frame := self.other.data_to_send(path, self.now + 1):
            yield frame

    def say_in_records_of(self, size: int, data: bytes) -> None:
        for at in range(0, len(data), size):
            self.other.write(data[at : at + size])
            self.exchange()


def paused_reader(pair: Pair, limit: int = 1 << 16) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=limit)
    pair.transport.start(asyncio.StreamReaderProtocol(reader))
    return reader


async def test_a_slow_reader_gets_all_that_came_before_both_ends_had_ended() -> None:
    pair = Pair()
    reader = paused_reader(pair)
    closed = Mock()
    pair.transport.on_closed = closed
    pair.transport.write_eof()
    pair.exchange()
    for _ in range(20):
        pair.other.write(bytes(50_000))
    pair.other.end()
    pair.exchange()
    assert pair.other.over  # everything arrived and is acknowledged, both ways
    assert not closed.called
    got = b""
    async with asyncio.timeout(10):
        while data := await reader.read(10_000):
            got += data
    assert len(got) == 1_000_000
    assert closed.call_count == 1


async def test_closing_a_session_that_has_ended_ends_it_although_the_rest_is_unread() -> None:
    pair = Pair()
    paused_reader(pair)
    closed = Mock()
    pair.transport.on_closed = closed
    pair.transport.write_eof()
    for _ in range(20):
        pair.other.write(bytes(50_000))
    pair.other.end()
    pair.exchange()
    pair.transport.close()
    assert closed.call_count == 1


async def test_tiny_records_cost_no_more_memory_than_the_window_while_unread() -> None:
    pair = Pair()
    taken = bytearray()
    protocol = Mock()
    protocol.data_received.side_effect = taken.extend
    pair.transport.start(protocol)
    pair.transport.pause_reading()
    sent = bytes(range(256)) * 80
    pair.say_in_records_of(TINY, sent)
    async with asyncio.timeout(10):
        while pair.other.unsent:  # so many records are unacknowledged, and acknowledgements wait
            await asyncio.sleep(0.001)
            pair.exchange()
    held = sum(map(sys.getsizeof, pair.transport._early))
    assert held < 4 * len(sent)
    pair.transport.resume_reading()
    await asyncio.sleep(0)
    assert bytes(taken) == sent
    assert all(isinstance(call.args[0], bytes) for call in protocol.data_received.call_args_list)


async def test_a_protocol_that_fails_is_given_nothing_more_and_no_end_that_looks_whole() -> None:
    handler = Mock()
    asyncio.get_running_loop().set_exception_handler(handler)
    pair = Pair(paths=2)
    protocol = Mock()
    protocol.data_received.side_effect = RuntimeError("a fault")
    pair.transport.start(protocol)
    pair.other.write(b"first")
    pair.exchange()
    pair.other.write(b"second")
    pair.other.end()
    pair.exchange()
    await asyncio.sleep(0)
    assert protocol.data_received.call_args_list == [((b"first",),)]
    (error,) = protocol.connection_lost.call_args.args
    assert isinstance(error, SmkexError)
    assert pair.other.over
    assert handler.called


async def test_a_protocol_that_gives_up_while_data_waits_is_given_nothing_more() -> None:
    pair = Pair()
    protocol = Mock()
    protocol.data_received.side_effect = lambda data: pair.transport.abort()
    pair.transport.start(protocol)
    pair.transport.pause_reading()
    for part in (b"first", b"second"):
        pair.other.write(bytes(20_000) + part)
        pair.exchange()
    pair.transport.resume_reading()
    await asyncio.sleep(0)
    assert protocol.data_received.call_count == 1


@pytest.mark.parametrize("end", ["abort here", "abort there", "every path lost"])
async def test_a_session_that_ended_holds_no_record_until_the_collector_comes(end: str) -> None:
    pair = Pair(paths=2)
    paused_reader(pair)
    pair.exchange()
    pair.transport.write(bytes(10_000_000))  # more than the window
    for wire in pair.wires:
        wire.take()  # nothing arrives
    gc.collect()  # of other tests
    gc.disable()
    try:
        assert records_in_memory() > 0
        match end:
            case "abort here":
                pair.transport.abort()
            case "abort there":
                pair.other.abort()
                pair.exchange()
            case _:
                for path in range(2):
                    pair.transport.flow_lost(pair.wires[path].flow, None)
        await asyncio.sleep(0)
        assert records_in_memory() == 0
    finally:
        gc.enable()


def records_in_memory() -> int:
    return sum(isinstance(each, SealedRecord) for each in gc.get_objects())


async def test_an_ended_session_leaves_nothing_to_the_garbage_collector() -> None:
    class Kept(asyncio.Protocol):  # unlike its base it can be referred to weakly
        pass

    pair = Pair()
    protocol = Kept()
    pair.transport.start(protocol)
    session, closed = pair.transport, Mock()
    session.on_closed = partial(closed, session)  # as what is called at the end refers to the session
    kept = weakref.ref(protocol)
    gc.disable()
    try:
        session.abort()
        for _ in range(3):
            await asyncio.sleep(0)
        assert closed.called
        closed.reset_mock()
        del session, protocol, pair
        assert kept() is None
    finally:
        gc.enable()
