"""Fetch purges that heartbeats tell of, and hand them to the edge in purges.json of the state folder."""

import asyncio
import logging

from balancer.agent.backoff import Backoff
from balancer.agent.state import NodeState
from balancer.api.client import ApiError, ControlClient, Unreachable

log = logging.getLogger(__name__)

KEPT = 1000


class Purges:
    """Knows the newest purge there is, and fetches up to it."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._newest = 0
        self._news = asyncio.Event()

    def note(self, newest: int) -> None:
        """Take in what the answer to a heartbeat says."""
        if newest > self._newest:
            self._newest = newest
            self._news.set()

    async def follow(self, client: ControlClient) -> None:
        """Keep purges.json up to date until cancelled."""
        backoff = Backoff()
        while True:
            await self._news.wait()
            self._news.clear()
            kept = self._state.purges()
            known = max((each["id"] for each in kept), default=0)
            if known >= self._newest:
                continue
            try:
                fresh = await client.purges(known)
            except (Unreachable, ApiError) as error:
                log.warning("no purges", extra={"why": str(error)})
                await asyncio.sleep(backoff.delay())
                self._news.set()
                continue
            backoff.reset()
            kept += [
                {"id": each.id, "url": each.url, "tag": each.tag, "at": each.at.timestamp()} for each in fresh
            ]
            self._state.keep_purges(kept[-KEPT:])
            log.info("purges", extra={"fetched": len(fresh), "newest": self._newest})
