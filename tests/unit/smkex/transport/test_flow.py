"""A flow over real sockets, on both kinds of loop: order, pauses, and every way to end."""

import asyncio
import errno
import gc
import socket
import struct
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from smkex.transport.flow import Flow, limit_unsent, receive_buffer
from smkex.transport.poller import READABLE

BOUND = 10  # seconds any wait may take
MUCH = bytes(range(256)) * 40_000  # more than both sockets' buffers hold


class Owner:
    def __init__(self) -> None:
        self.received = b""
        self.fault: Exception | None = None
        self.writable = asyncio.Event()
        self.heard = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def flow_received(self, flow: Flow, data: bytes | memoryview, now: float) -> None:
        if self.fault is not None:
            raise self.fault
        self.received += data
        self.heard.set()

    def flow_writable(self, flow: Flow) -> None:
        self.writable.set()

    def flow_lost(self, flow: Flow, error: Exception | None) -> None:
        self.lost.set_result(error)

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
            ours, _ = listening.accept()
        ours.setblocking(False)
        self.other.setblocking(False)
        self.owner = Owner()
        self.flow = Flow(ours)
        self.flow.start(self.owner)

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
            return await self.owner.lost

    def reset(self) -> None:
        self.other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.other.close()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    yield made
    made.flow.abort()
    made.other.close()
    await asyncio.sleep(0)


async def test_what_comes_in_is_given_to_the_owner(pair: Pair) -> None:
    assert pair.flow.peer == pair.other.getsockname()
    pair.other.send(b"a" * 15_000)
    await pair.owner.hear(b"a" * 15_000)


async def test_nothing_is_read_while_reading_is_paused(pair: Pair) -> None:
    pair.flow.pause_reading()
    pair.other.send(b"later")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not pair.owner.received
    assert not pair.flow.is_reading
    pair.flow.resume_reading()
    await pair.owner.hear(b"later")


async def test_what_the_socket_does_not_take_waits_and_arrives_in_order(pair: Pair) -> None:
    pair.flow.write(MUCH)
    pair.flow.write(b"end")
    assert pair.flow.unsent > 64 << 10
    assert not pair.flow.writable
    assert await pair.read(len(MUCH) + 3) == MUCH + b"end"
    async with asyncio.timeout(BOUND):
        await pair.owner.writable.wait()
    assert (pair.flow.unsent, pair.flow.writable) == (0, True)


async def test_with_no_room_of_its_own_it_asks_for_a_pause_at_the_first_byte_that_waits(pair: Pair) -> None:
    pair.flow.send_buffer = 0
    pair.flow.write(b"taken at once")
    assert pair.flow.writable
    pair.flow.write(MUCH)
    assert not pair.flow.writable


async def test_closing_sends_first_what_was_written(pair: Pair) -> None:
    pair.flow.write(MUCH)
    pair.flow.close()
    assert pair.flow.closing
    assert not pair.owner.lost.done()
    assert await pair.read(len(MUCH) + 1) == MUCH
    assert await pair.lost() is None


async def test_aborting_drops_what_was_written_and_writes_afterwards_go_nowhere(pair: Pair) -> None:
    pair.flow.write(MUCH)
    pair.flow.abort()
    pair.flow.write(b"more")
    assert await pair.lost() is None
    assert len(await pair.read(len(MUCH))) < len(MUCH)


async def test_the_end_of_the_other_side_closes_this_one(pair: Pair) -> None:
    pair.other.send(b"last")
    pair.other.shutdown(socket.SHUT_WR)
    assert await pair.lost() is None
    assert pair.owner.received == b"last"


@pytest.mark.parametrize("writing", [False, True])
async def test_a_reset_is_reported_and_the_event_loop_keeps_nothing(pair: Pair, writing: bool) -> None:
    number = pair.flow.socket.fileno()
    if writing:
        pair.flow.pause_reading()
        pair.flow.write(MUCH)
    pair.reset()
    assert isinstance(await pair.lost(), ConnectionError)
    assert not asyncio.get_running_loop().remove_reader(number)
    assert not asyncio.get_running_loop().remove_writer(number)
    assert pair.flow._mask == 0


async def test_what_came_before_a_reset_is_read_even_if_a_write_finds_out_first(pair: Pair) -> None:
    """The last word of an end that gives a path up is its state: without it megabytes go out again elsewhere."""
    said = b"last word" * 1000  # several reads
    pair.other.send(said)
    pair.reset()
    pair.flow.write(b"a")
    pair.flow.write(b"b")
    assert isinstance(await pair.lost(), ConnectionError)
    assert pair.owner.received == said


async def test_a_socket_that_is_gone_at_once_is_reported_by_the_write(pair: Pair) -> None:
    pair.reset()
    pair.flow.write(b"a")
    pair.flow.write(b"b")
    assert isinstance(await pair.lost(), ConnectionError)


async def test_an_owner_that_fails_loses_its_connection_and_the_loop_hears_why(pair: Pair) -> None:
    heard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    pair.owner.fault = ValueError("a fault")
    pair.other.send(b"x")
    assert await pair.lost() is pair.owner.fault
    assert [context["exception"] for context in heard] == [pair.owner.fault]


async def test_an_event_without_cause_does_no_harm(pair: Pair) -> None:
    pair.flow.on_event(READABLE, 0.0)
    pair.other.send(b"still there")
    await pair.owner.hear(b"still there")


async def test_a_socket_that_is_released_is_served_no_more_and_stays_open(pair: Pair) -> None:
    with pair.flow.release() as released:
        pair.other.send(b"for another process")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not pair.owner.received
        assert not pair.owner.lost.done()
        assert released.recv(100) == b"for another process"


def test_flows_of_one_thread_receive_into_one_buffer_and_those_of_another_into_theirs() -> None:
    with ThreadPoolExecutor(1) as other:
        theirs = list(other.map(lambda _: receive_buffer(), range(2)))
    assert theirs[0] is theirs[1]
    assert receive_buffer() is receive_buffer()
    assert receive_buffer() is not theirs[0]


def test_a_kernel_without_the_limit_of_unsent_bytes_carries_flows_all_the_same() -> None:
    """Sockets of MPTCP of Linux 6.1 refuse TCP_NOTSENT_LOWAT with ENOPROTOOPT."""

    class Refuses(socket.socket):
        def setsockopt(self, *_: object) -> None:  # type: ignore[override]
            raise OSError(self.reason, "no")

    with Refuses() as sock:
        sock.reason = errno.ENOPROTOOPT  # type: ignore[attr-defined]
        limit_unsent(sock, 1)
        sock.reason = errno.EINVAL  # type: ignore[attr-defined]
        with pytest.raises(OSError, match="no"):
            limit_unsent(sock, 1)


async def test_what_is_written_in_one_turn_leaves_together_at_its_end(pair: Pair) -> None:
    pair.flow.write(b"one ")
    pair.flow.write(memoryview(b"two"))
    assert pair.flow.unsent == len(b"one two")
    with pytest.raises(BlockingIOError):
        pair.other.recv(100)
    assert await pair.read(7) == b"one two"
    assert (pair.flow.unsent, pair.flow.writable) == (0, True)


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_what_was_written_before_the_end_leaves_first(pair: Pair, end: str) -> None:
    pair.flow.write(b"last word")
    getattr(pair.flow, end)()
    assert await pair.read(100) == b"last word"
    assert await pair.lost() is None


async def test_an_ended_flow_leaves_nothing_to_the_garbage_collector() -> None:
    pair = Pair()
    gc.disable()
    try:
        pair.reset()
        error = await pair.lost()
        await asyncio.sleep(0)
        assert isinstance(error, ConnectionResetError)
        assert error.__traceback__ is None  # its frames would keep what was read
        owner, flow = weakref.ref(pair.owner), pair.flow
        del pair
        assert flow.lost
        assert owner() is None
    finally:
        gc.enable()
