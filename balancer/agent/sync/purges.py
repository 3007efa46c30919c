"""Follow purges by long polls, hand them to the edge in purges.json, and report at once that it has applied them."""

import asyncio
import logging

from balancer.agent.state import NodeState
from balancer.agent.sync.backoff import Backoff
from balancer.agent.sync.lease import HeartbeatTrigger
from balancer.api.client import ApiError, ControlClient, Unreachable
from balancer.api.purges import PurgePage
from node.state.purges import Purge

log = logging.getLogger(__name__)

PURGES_KEPT = 1000
LONG_POLL_SECONDS = 25.0  # under the idle time-outs of usual middleboxes
APPLIED_POLL_SECONDS = 0.01  # between looks whether the edge has applied what it was handed
APPLIED_WAIT_SECONDS = 5.0  # that these go on: a later heartbeat reports it then


class PurgeFollower:
    """Fetches what is newer than the newest purge on disk. A heartbeat is triggered once the edge has applied it."""

    def __init__(self, state: NodeState, changed: HeartbeatTrigger) -> None:
        self._state = state
        self._changed = changed
        self._handed_over = asyncio.Event()

    async def follow(self, client: ControlClient, wait: float = LONG_POLL_SECONDS) -> None:
        """Keep purges.json up to date until cancelled."""
        reporting = asyncio.create_task(self._report_applied())
        try:
            await self._follow(client, wait)
        finally:
            reporting.cancel()

    async def _follow(self, client: ControlClient, wait: float) -> None:
        # when the control plane stops, all long polls end at once: they must not return at once
        backoff, loop = Backoff(first=0.5, longest=8.0, jitter=1.0), asyncio.get_running_loop()
        while True:
            started, known = loop.time(), self._newest_known()
            try:
                page = await client.purges(known, wait)
            except (Unreachable, ApiError) as error:
                log.warning("purges not fetched", extra={"why": str(error)})
                await asyncio.sleep(backoff.delay())
                continue
            if page.items:
                self._keep_purges(page)
                backoff.reset()
            elif loop.time() - started < wait / 2:
                await asyncio.sleep(backoff.delay())
            else:
                backoff.reset()

    def _newest_known(self) -> int:
        return max((each.id for each in self._state.purges()), default=0)

    def _keep_purges(self, page: PurgePage) -> None:
        fresh = [Purge(**{**each.model_dump(), "at": each.at.timestamp()}) for each in page.items]
        if page.missed:
            # what is no longer kept cannot be known: drop everything, as the oldest of those that are
            fresh[0] = Purge(id=fresh[0].id, at=fresh[0].at, everything=True)
            log.warning("purges were missed: everything is dropped", extra={"after": self._newest_known()})
        self._state.keep_purges([*self._state.purges(), *fresh][-PURGES_KEPT:])
        log.info("purges fetched", extra={"fetched": len(fresh), "newest": fresh[-1].id})
        self._handed_over.set()

    async def _report_applied(self) -> None:
        """Trigger a heartbeat as soon as the edge has applied what it was handed."""
        loop = asyncio.get_running_loop()
        while True:
            await self._handed_over.wait()
            self._handed_over.clear()
            newest, until = self._newest_known(), loop.time() + APPLIED_WAIT_SECONDS
            while not self._handed_over.is_set() and loop.time() < until:
                if (self._state.applied_purge() or 0) >= newest:
                    self._changed.trigger()
                    break
                await asyncio.sleep(APPLIED_POLL_SECONDS)
