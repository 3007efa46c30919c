"""Deadlines and descriptors on both kinds of loop: moved, cancelled, faulty, and fair to asyncio's own work."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable

from loopback import until

from smkex.transport.event_loop import ReactorLoop, running_poller
from smkex.transport.poller import NEVER, READABLE, Timer

BOUND = 10  # seconds any wait may take


async def until_rung(rung: list[float]) -> None:
    async with asyncio.timeout(BOUND):
        while not rung:
            await asyncio.sleep(0)


async def test_a_timer_rings_once_and_not_before_what_it_was_armed_for_last() -> None:
    poller, rung = running_poller(), list[float]()
    timer = Timer(rung.append)
    start = time.monotonic()
    for at in (0.01, 0.05, 0.03):
        poller.arm(timer, start + at)
    await until_rung(rung)
    assert rung[0] >= start + 0.03
    assert (timer.due, timer.queued) == (NEVER, NEVER)


async def test_a_disarmed_timer_does_not_ring_and_may_be_armed_again() -> None:
    poller, rung, other = running_poller(), list[float](), list[float]()
    timer = Timer(rung.append)
    start = time.monotonic()
    poller.arm(timer, start)
    poller.disarm(timer)
    poller.arm(Timer(other.append), start + 0.01)
    await until_rung(other)
    assert not rung
    poller.arm(timer, start)
    await until_rung(rung)


async def test_a_descriptor_that_is_always_ready_leaves_asyncio_its_turn() -> None:
    near, far = socket.socketpair()
    far.send(b"never read")
    poller, served = running_poller(), list[float]()

    class Handler:
        def on_event(self, mask: int, now: float) -> None:
            served.append(now)

        def on_fault(self, error: Exception) -> None: ...

    poller.add(near.fileno(), Handler(), READABLE)
    await asyncio.wait_for(asyncio.sleep(0.01), BOUND)
    poller.remove(near.fileno())
    assert served
    near.close()
    far.close()


async def test_what_is_deferred_is_called_later_in_order_and_a_fault_stops_nothing_else() -> None:
    poller, called = running_poller(), list[str]()
    faults: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: faults.append(str(context["exception"]))
    )

    def fail() -> None:
        raise ValueError("a fault")

    def defer_another() -> None:
        called.append("first")
        poller.defer(lambda: called.append("third"))

    poller.defer(defer_another)
    poller.defer(fail)
    poller.defer(lambda: called.append("second"))
    assert not called
    async with asyncio.timeout(BOUND):
        while len(called) < 3:
            await asyncio.sleep(0)
    assert (called, faults) == (["first", "second", "third"], ["a fault"])


async def test_a_loop_with_nothing_else_to_do_calls_what_was_deferred_and_what_that_schedules() -> None:
    done = asyncio.get_running_loop().create_future()
    start = time.monotonic()
    running_poller().defer(lambda: done.set_result(None))
    await asyncio.wait_for(done, BOUND)
    assert time.monotonic() - start < BOUND / 2  # it did not wait for the time-out, the next that is due


class AlwaysReady:
    """A handler of a socket that has always something to read."""

    def __init__(self) -> None:
        self.served = 0
        self.act: Callable[[], object] = lambda: None
        self._near, self._far = socket.socketpair()
        self._far.send(b"never read")
        self._poller = running_poller()
        self._poller.add(self._near.fileno(), self, READABLE)

    def on_event(self, mask: int, now: float) -> None:
        self.served += 1
        self.act()

    def on_fault(self, error: Exception) -> None: ...

    def close(self) -> None:
        self._poller.remove(self._near.fileno())
        self._near.close()
        self._far.close()


async def test_handlers_that_never_rest_leave_signals_and_asyncio_their_turn() -> None:
    busy = AlwaysReady()
    caught: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: caught.append(number))
    try:
        os.kill(os.getpid(), signal.SIGUSR2)
        await until(lambda: bool(caught))
        happened = asyncio.Event()
        busy.act = happened.set
        await asyncio.wait_for(happened.wait(), BOUND)
        served = busy.served
        for turn in range(20):  # a task that yields runs once for each batch, not once for many
            await asyncio.sleep(0)
            assert busy.served <= served + turn + 1
    finally:
        signal.signal(signal.SIGUSR2, before)
        busy.close()


def test_a_handler_may_stop_the_loop() -> None:
    loop = ReactorLoop()

    async def begin() -> AlwaysReady:
        busy = AlwaysReady()
        busy.act = loop.stop
        return busy

    busy = loop.run_until_complete(begin())
    loop.run_forever()
    assert busy.served <= 2  # the second where the loop had one more turn to end `begin`
    busy.close()
    loop.close()
