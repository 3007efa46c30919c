"""Fetch purges that heartbeats report, and hand them to the edge in purges.json of the state folder."""

import logging

from balancer.agent.state import NodeState
from balancer.agent.sync.changes import ChangeEvent
from balancer.api.client import ControlClient
from node.state.purges import Purge

log = logging.getLogger(__name__)

PURGES_KEPT = 1000


class PurgeFollower:
    """Knows the newest purge there is, and fetches up to it."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._event = ChangeEvent("purges")
        self.report_newest = self._event.report_newest

    async def follow(self, client: ControlClient) -> None:
        """Keep purges.json up to date until cancelled."""
        await self._event.follow_changes(lambda: self._fetch(client))

    async def _fetch(self, client: ControlClient) -> None:
        kept = self._state.purges()
        known = max((each.id for each in kept), default=0)
        if known >= self._event.newest:
            return
        fresh = await client.purges(known)
        kept += [Purge(each.id, each.url, each.tag, each.at.timestamp()) for each in fresh]
        self._state.keep_purges(kept[-PURGES_KEPT:])
        log.info("purges fetched", extra={"fetched": len(fresh), "newest": self._event.newest})
