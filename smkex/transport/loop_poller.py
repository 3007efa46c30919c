"""Flows and sessions on an event loop that has no reactor: through its readers, writers and timers."""

import asyncio
from collections.abc import Callable

from smkex.transport.poller import NEVER, READABLE, WRITABLE, Handler, Poller, Timer
from smkex.transport.reactor import report_fault


class LoopPoller(Poller):
    """Readiness and deadlines from an asyncio loop that has no reactor."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def add(self, number: int, handler: Handler, mask: int) -> None:
        if mask & READABLE:
            self._loop.add_reader(number, self._serve, handler, READABLE)
        if mask & WRITABLE:
            self._loop.add_writer(number, self._serve, handler, WRITABLE)

    def change(self, number: int, handler: Handler, mask: int) -> None:
        if not mask & READABLE:
            self._loop.remove_reader(number)
        if not mask & WRITABLE:
            self._loop.remove_writer(number)
        self.add(number, handler, mask)

    def remove(self, number: int) -> None:
        self._loop.remove_reader(number)
        self._loop.remove_writer(number)

    def _serve(self, handler: Handler, mask: int) -> None:
        try:
            handler.on_event(mask, self._loop.time())
        except Exception as error:
            report_fault(error, handler)
            handler.on_fault(error)

    def arm(self, timer: Timer, at: float) -> None:
        timer.due = at
        if timer.queued > at:
            self._cancel(timer)
            self._schedule(timer)

    def disarm(self, timer: Timer) -> None:
        timer.due = NEVER
        self._cancel(timer)

    def defer(self, callback: Callable[[], object]) -> None:
        self._loop.call_soon(callback)

    def _schedule(self, timer: Timer) -> None:
        timer.queued, timer.entry = timer.due, self._loop.call_at(timer.due, self._ring, timer)

    def _cancel(self, timer: Timer) -> None:
        if timer.queued < NEVER:
            timer.entry.cancel()
            timer.queued, timer.entry = NEVER, None

    def _ring(self, timer: Timer) -> None:
        timer.queued, timer.entry = NEVER, None
        now = self._loop.time()
        if timer.due > now:
            self._schedule(timer)
        else:
            timer.due = NEVER
            timer.on_due(now)
