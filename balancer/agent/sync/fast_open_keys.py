"""Fetch the fleet's Fast Open keys when heartbeats tell of newer ones, and leave them to the edge in the state
folder's fast-open.keys."""

import logging

from balancer.agent.state import NodeState
from balancer.agent.sync.changes import News
from balancer.api.client import ControlClient

log = logging.getLogger(__name__)


class FastOpenKeyring:
    """Knows which keys are the newest, and which are kept. Without any the edge keeps what it has."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._news = News("Fast Open keys")
        self.note = self._news.note

    async def follow(self, client: ControlClient) -> None:
        """Keep fast-open.keys up to date until cancelled."""
        await self._news.follow(lambda: self._fetch(client))

    async def _fetch(self, client: ControlClient) -> None:
        keys = (await client.fast_open_keys()).items
        if keys:
            self._state.keep_fast_open_keys([each.key for each in keys])
            log.info("Fast Open keys", extra={"newest": keys[0].id, "kept": len(keys)})
