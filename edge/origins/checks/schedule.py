"""When each origin is checked: one heap and one task for all, a limit of checks at once and of checks a second.

Only origins of services that are in use are checked. When more are due than the limits allow, intervals become longer.
"""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Awaitable, Callable

from edge.origins.checks.health_request import check_origin
from edge.origins.checks.watched_origin import WatchedOrigin

CONCURRENT_CHECKS = 32
CHECKS_PER_SECOND = 100
JITTER = 0.1  # share of an interval
IDLE_SECONDS = 300.0  # without a request to its service, after which an origin is checked no longer


class CheckSchedule:
    """The checks of one worker."""

    def __init__(
        self,
        check: Callable[[WatchedOrigin], Awaitable[str | None]] = check_origin,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._clock = clock
        self._random = random.Random()  # noqa: S311 (spreads load)
        self._due: list[tuple[float, int, WatchedOrigin]] = []
        self._order = itertools.count()
        self._added = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def note_use(self, watched: WatchedOrigin, now: float) -> None:
        """Keep `watched` checked from now on; a request to its service has begun."""
        watched.last_used = now
        if not watched.scheduled and not watched.closed:
            watched.scheduled = True
            # spread: many services begin to be used when an edge starts
            self._push(watched, now + self._random.random() * min(1.0, watched.check.interval))

    async def run(self) -> None:
        """Check until cancelled."""
        try:
            while True:
                await self._wait_until_due()
                _, _, watched = heapq.heappop(self._due)
                if watched.closed or self._clock() - watched.last_used > IDLE_SECONDS:
                    watched.scheduled = False
                    watched.forget_results()
                    continue
                while len(self._running) >= CONCURRENT_CHECKS:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                task = asyncio.create_task(self._check_one(watched))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                await asyncio.sleep(1 / CHECKS_PER_SECOND)
        finally:
            running = list(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _wait_until_due(self) -> None:
        while not self._due or self._due[0][0] > self._clock():
            self._added.clear()
            left = self._due[0][0] - self._clock() if self._due else None
            try:
                async with asyncio.timeout(left):
                    await self._added.wait()
            except TimeoutError:
                pass

    async def _check_one(self, watched: WatchedOrigin) -> None:
        began = self._clock()
        failure = await self._check(watched)
        if not watched.closed:
            watched.record_result(failure)
        spread = self._random.uniform(1 - JITTER, 1 + JITTER)
        self._push(watched, max(self._clock(), began + watched.check.interval * spread))

    def _push(self, watched: WatchedOrigin, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._order), watched))
        self._added.set()
