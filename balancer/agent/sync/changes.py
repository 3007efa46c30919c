"""Things that grow at the control plane: heartbeats tell the newest number, and what is missing is fetched then."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from balancer.agent.sync.backoff import Backoff
from balancer.api.client import ApiError, Unreachable

log = logging.getLogger(__name__)


class News:
    """The newest number of `what` that was told of; 0 where none was."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.newest = 0
        self._told = asyncio.Event()

    def note(self, newest: int) -> None:
        """Take in what the answer to a heartbeat says. A control plane that was restored tells smaller numbers."""
        if newest != self.newest:
            self.newest = newest
            self._told.set()

    async def follow(self, fetch: Callable[[], Awaitable[None]]) -> None:
        """Call `fetch` for each change until cancelled, and again, ever more seldom, where it cannot reach anybody."""
        backoff = Backoff()
        while True:
            await self._told.wait()
            self._told.clear()
            try:
                await fetch()
            except (Unreachable, ApiError) as error:
                log.warning("not fetched", extra={"what": self._what, "why": str(error)})
                await asyncio.sleep(backoff.delay())
                self._told.set()
                continue
            backoff.reset()
