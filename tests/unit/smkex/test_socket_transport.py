"""The transport of a subflow over real sockets: order, pauses, and every way to end."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from smkex.transport.socket_transport import SocketTransport

BOUND = 10  # seconds any wait may take
MUCH = bytes(range(256)) * 40_000  # more than both sockets' buffers hold


class Taker(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.received = b""
        self.paused = 0
        self.writable = asyncio.Event()
        self.heard = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._buffer = memoryview(bytearray(1000))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self._buffer[:nbytes]
        self.heard.set()

    def pause_writing(self) -> None:
        self.paused += 1

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)

    async def hear(self, what: bytes) -> None:
        async with asyncio.timeout(BOUND):
            while self.received != what:
                self.heard.clear()
                await self.heard.wait()


class Pair:
    """One end under test, and the other as a plain socket."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.other = socket.create_connection(listening.getsockname())
            ours, address = listening.accept()
        ours.setblocking(False)
        self.other.setblocking(False)
        self.taker = Taker()
        self.transport = SocketTransport(ours, self.taker, address)

    async def read(self, count: int) -> bytes:
        found = b""
        async with asyncio.timeout(BOUND):
            while len(found) < count:
                part = await asyncio.get_running_loop().sock_recv(self.other, 1 << 20)
                if not part:
                    break
                found += part
        return found

    async def lost(self) -> Exception | None:
        async with asyncio.timeout(BOUND):
            return await self.taker.lost


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    yield made
    made.transport.abort()
    made.other.close()
    await asyncio.sleep(0)


async def test_what_comes_in_is_given_to_the_protocol(pair: Pair) -> None:
    assert pair.transport.get_extra_info("peername") == pair.other.getsockname()
    pair.other.send(b"a" * 1500)
    await pair.taker.hear(b"a" * 1500)


async def test_nothing_is_read_while_reading_is_paused(pair: Pair) -> None:
    pair.transport.pause_reading()
    pair.other.send(b"later")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not pair.taker.received
    assert not pair.transport.is_reading()
    pair.transport.resume_reading()
    await pair.taker.hear(b"later")


async def test_what_the_socket_does_not_take_waits_and_arrives_in_order(pair: Pair) -> None:
    pair.transport.write(MUCH)
    pair.transport.write(b"end")
    assert pair.transport.get_write_buffer_size() > 64 << 10
    assert pair.taker.paused == 1
    assert await pair.read(len(MUCH) + 3) == MUCH + b"end"
    async with asyncio.timeout(BOUND):
        await pair.taker.writable.wait()
    assert pair.transport.get_write_buffer_size() == 0


async def test_with_no_room_of_its_own_it_asks_for_a_pause_at_the_first_byte_that_waits(pair: Pair) -> None:
    pair.transport.set_write_buffer_limits(high=0)
    assert pair.transport.get_write_buffer_limits() == (0, 0)
    pair.transport.write(b"taken at once")
    assert pair.taker.paused == 0
    pair.transport.write(MUCH)
    assert pair.taker.paused == 1


async def test_closing_sends_first_what_was_written(pair: Pair) -> None:
    pair.transport.write(MUCH)
    pair.transport.close()
    assert pair.transport.is_closing()
    assert not pair.taker.lost.done()
    assert await pair.read(len(MUCH) + 1) == MUCH
    assert await pair.lost() is None


async def test_aborting_drops_what_was_written_and_writes_afterwards_go_nowhere(pair: Pair) -> None:
    pair.transport.write(MUCH)
    pair.transport.abort()
    pair.transport.write(b"more")
    assert await pair.lost() is None
    assert len(await pair.read(len(MUCH))) < len(MUCH)


async def test_the_end_of_the_other_side_closes_this_one(pair: Pair) -> None:
    pair.other.send(b"last")
    pair.other.shutdown(socket.SHUT_WR)
    assert await pair.lost() is None
    assert pair.taker.received == b"last"


@pytest.mark.parametrize("writing", [False, True])
async def test_a_reset_is_reported_and_the_event_loop_keeps_nothing(pair: Pair, writing: bool) -> None:
    number = pair.transport.get_extra_info("socket").fileno()
    if writing:
        pair.transport.pause_reading()
        pair.transport.write(MUCH)
    pair.other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.other.close()
    assert isinstance(await pair.lost(), ConnectionError)
    assert not asyncio.get_running_loop().remove_reader(number)
    assert not asyncio.get_running_loop().remove_writer(number)


async def test_what_came_before_a_reset_is_read_even_if_a_write_finds_out_first(pair: Pair) -> None:
    """The last word of an end that gives a path up is its state: without it megabytes go out again elsewhere."""
    said = b"last word" * 1000  # several reads
    pair.other.send(said)
    pair.other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.other.close()
    pair.transport.write(b"a")
    pair.transport.write(b"b")
    assert isinstance(await pair.lost(), ConnectionError)
    assert pair.taker.received == said


async def test_a_socket_that_is_gone_at_once_is_reported_by_the_write(pair: Pair) -> None:
    pair.other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.other.close()
    pair.transport.write(b"a")
    pair.transport.write(b"b")
    assert isinstance(await pair.lost(), ConnectionError)


async def test_a_protocol_that_fails_loses_its_connection_and_the_loop_hears_why(pair: Pair) -> None:
    heard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    error = ValueError("a fault")

    def fail(nbytes: int) -> None:
        raise error

    pair.taker.buffer_updated = fail  # type: ignore[method-assign]
    pair.other.send(b"x")
    assert await pair.lost() is error
    assert [context["exception"] for context in heard] == [error]
