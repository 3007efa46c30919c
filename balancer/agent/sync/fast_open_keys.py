"""Fetch the fleet's Fast Open keys when heartbeats report newer ones, and write them to fast-open.keys
of the state folder."""

import logging

from balancer.agent.state import NodeState
from balancer.agent.sync.changes import ChangeEvent
from balancer.api.client import ControlClient

log = logging.getLogger(__name__)


class FastOpenKeyFollower:
    """Knows which keys are the newest, and which are kept. Without any the edge keeps what it has."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._event = ChangeEvent("Fast Open keys")
        self.report_newest = self._event.report_newest

    async def follow(self, client: ControlClient) -> None:
        """Keep fast-open.keys up to date until cancelled."""
        await self._event.follow_changes(lambda: self._fetch(client))

    async def _fetch(self, client: ControlClient) -> None:
        keys = (await client.fast_open_keys()).items
        if keys:
            self._state.keep_fast_open_keys([each.key for each in keys])
            log.info("Fast Open keys written", extra={"newest": keys[0].id, "kept": len(keys)})
