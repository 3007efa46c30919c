"""Fetch the fleet's Fast Open keys when heartbeats tell of newer ones, and leave them to the edge in the state
folder's fast-open.keys."""

import asyncio
import logging

from balancer.agent.backoff import Backoff
from balancer.agent.state import NodeState
from balancer.api.client import ApiError, ControlClient, Unreachable

log = logging.getLogger(__name__)


class FastOpenKeyring:
    """Knows which keys are the newest, and which are kept. Without any the edge keeps what it has."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._newest = 0
        self._news = asyncio.Event()

    def note(self, newest: int) -> None:
        """Take in what the answer to a heartbeat says."""
        if newest != self._newest:
            self._newest = newest
            self._news.set()

    async def follow(self, client: ControlClient) -> None:
        """Keep fast-open.keys up to date until cancelled."""
        backoff = Backoff()
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                keys = (await client.fast_open_keys()).items
            except (Unreachable, ApiError) as error:
                log.warning("no Fast Open keys", extra={"why": str(error)})
                await asyncio.sleep(backoff.delay())
                self._news.set()
                continue
            backoff.reset()
            if keys:
                self._state.keep_fast_open_keys([each.key for each in keys])
                log.info("Fast Open keys", extra={"newest": keys[0].id, "kept": len(keys)})
