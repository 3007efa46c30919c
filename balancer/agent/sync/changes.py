"""Counters of the control plane: answers to heartbeats carry the newest number, and what is missing is fetched then."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from balancer.agent.sync.backoff import Backoff
from balancer.api.client import ApiError, Unreachable

log = logging.getLogger(__name__)


class ChangeEvent:
    """The newest reported number of `what`; 0 before the first report."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.newest = 0
        self._reported = asyncio.Event()

    def report_newest(self, newest: int) -> None:
        """Record the number of an answer. A restored control plane may report a smaller one."""
        if newest != self.newest:
            self.newest = newest
            self._reported.set()

    async def follow_changes(self, fetch: Callable[[], Awaitable[None]]) -> None:
        """Call `fetch` for each change until cancelled; retry with growing delays where it fails."""
        backoff = Backoff()
        while True:
            await self._reported.wait()
            self._reported.clear()
            try:
                await fetch()
            except (Unreachable, ApiError) as error:
                log.warning("fetch failed", extra={"what": self._what, "why": str(error)})
                await asyncio.sleep(backoff.delay())
                self._reported.set()
                continue
            backoff.reset()
