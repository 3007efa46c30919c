"""The selector of an event loop, which serves the descriptors of sessions itself.

asyncio makes an object and three calls of each event, and some of each turn. A `Reactor` is the selector of a
`ReactorLoop` (`smkex.transport.event_loop`): within `select` it calls the handlers of its own descriptors, turn after
turn, until asyncio has something to do. It returns what is ready of asyncio's, which it keeps in a selector of its own.
What a handler schedules on the loop runs right after the batch.
"""

import asyncio
import heapq
import select
import selectors
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from smkex.transport.poller import NEVER, Handler, Poller, Timer

BATCH: Final = 256  # descriptors served before asyncio's own work has its turn
TURNS: Final = 64  # batches before asyncio has its turn, in which Python also calls the handlers of signals
SPARE_ENTRIES: Final = 1024  # entries of the queue that belong to no timer any more, before they are dropped


class DeadlineQueue:
    """Timers by their deadline. One that is armed for later than before stays where it is in the queue."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._timers: dict[int, Timer] = {}  # by number of their entry
        self._last = 0

    @property
    def next(self) -> float:
        """When `ring_due` is to be called, no later than the first deadline."""
        return self._heap[0][0] if self._heap else NEVER

    def arm(self, timer: Timer, at: float) -> None:
        timer.due = at
        if timer.queued > at:
            self._remove(timer)
            self._queue(timer)

    def disarm(self, timer: Timer) -> None:
        timer.due = NEVER
        self._remove(timer)
        if len(self._heap) > 2 * len(self._timers) + SPARE_ENTRIES:
            self._heap = [entry for entry in self._heap if entry[1] in self._timers]
            heapq.heapify(self._heap)

    def take_due(self, now: float) -> list[Timer]:
        """Remove and return the timers whose deadline has passed."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            _, number = heapq.heappop(self._heap)
            timer = self._timers.pop(number, None)
            if timer is None:
                continue
            timer.queued = NEVER
            if timer.due > now:
                self._queue(timer)
            else:
                timer.due = NEVER
                due.append(timer)
        return due

    def _queue(self, timer: Timer) -> None:
        self._last += 1
        self._timers[self._last] = timer
        timer.queued, timer.entry = timer.due, self._last
        heapq.heappush(self._heap, (timer.due, self._last))

    def _remove(self, timer: Timer) -> None:
        if timer.queued < NEVER:
            timer.queued = NEVER
            del self._timers[timer.entry]


class Reactor(Poller):
    """A `selectors.BaseSelector` by its methods: epoll for handlers, and within it a selector of asyncio's own."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._deadlines = DeadlineQueue()
        self._deferred: list[Callable[[], object]] = []
        self.asyncio_has_work = False  # set by the loop when something is scheduled on it
        self._asyncio = selectors.EpollSelector()
        self._asyncio_number = self._asyncio.fileno()
        self._epoll.register(self._asyncio_number, select.EPOLLIN)

    # --- handlers and timers

    def add(self, number: int, handler: Handler, mask: int) -> None:
        self._epoll.register(number, mask)
        self._handlers[number] = handler

    def change(self, number: int, handler: Handler, mask: int) -> None:
        self._epoll.modify(number, mask)

    def remove(self, number: int) -> None:
        del self._handlers[number]
        self._epoll.unregister(number)

    def arm(self, timer: Timer, at: float) -> None:
        self._deadlines.arm(timer, at)

    def disarm(self, timer: Timer) -> None:
        self._deadlines.disarm(timer)

    def defer(self, callback: Callable[[], object]) -> None:
        self._deferred.append(callback)

    # --- asyncio's selector

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Serve handlers, timers and what was deferred until asyncio has work; return what of asyncio's is ready.

        Takes `timeout` seconds at most (None: without limit), or one batch.
        """
        until = NEVER if timeout is None else time.monotonic() + timeout
        self.asyncio_has_work = timeout is not None and timeout <= 0.0
        if self._deferred:
            self._run_deferred()
        turns = TURNS
        while True:
            wait = -1.0
            if self.asyncio_has_work or self._deferred:
                wait = 0.0
            else:
                deadline = min(self._deadlines.next, until)
                if deadline < NEVER:
                    wait = max(deadline - time.monotonic(), 0.0)
            events = self._epoll.poll(wait, BATCH)
            now = time.monotonic()
            asyncio_ready = len(events) == BATCH  # it may be behind the others
            for number, mask in events:
                handler = self._handlers.get(number)
                if handler is not None:
                    try:
                        handler.on_event(mask, now)
                    except Exception as error:
                        report_fault(error, handler)
                        handler.on_fault(error)
                elif number == self._asyncio_number:
                    asyncio_ready = True
            if self._deadlines.next <= now:
                self._ring_due(now)
            if self._deferred:
                self._run_deferred()
            turns -= 1
            if asyncio_ready:
                return self._asyncio.select(0)
            if self.asyncio_has_work or turns == 0 or now >= until:
                return []

    def _ring_due(self, now: float) -> None:
        for timer in self._deadlines.take_due(now):
            try:
                timer.on_due(now)
            except Exception as error:
                report_fault(error, timer)

    def _run_deferred(self) -> None:
        """Call what was deferred so far; what that defers is called in the loop's next turn."""
        callbacks, self._deferred = self._deferred, []
        for callback in callbacks:
            try:
                callback()
            except Exception as error:
                report_fault(error, callback)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._asyncio.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._asyncio.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._asyncio.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._asyncio.get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._asyncio.get_map()

    def close(self) -> None:
        self._asyncio.close()
        self._epoll.close()
        self._handlers.clear()


def report_fault(error: Exception, source: object) -> None:
    """Give what a handler or a timer raised to the exception handler of the running loop."""
    context = {"message": "a handler of the reactor failed", "exception": error, "handler": source}
    asyncio.get_running_loop().call_exception_handler(context)
