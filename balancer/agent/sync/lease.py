"""Keep this edge's lease: a heartbeat three times a lease, and at once when its health changes."""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from balancer.agent.sync.backoff import Backoff
from balancer.api.client import ApiError, ControlClient, Unreachable
from balancer.api.schemas import LeaseGrant, LeaseRequest

log = logging.getLogger(__name__)


class EdgeRemoved(Exception):
    """The control plane has removed this edge."""


class HeartbeatTrigger:
    """Triggers a heartbeat before its time."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def trigger(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Wait for a change, or for the time to pass."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()


async def keep_lease(
    client: ControlClient,
    edge_id: int,
    heartbeat: Callable[[], LeaseRequest],
    answered: Callable[[float, LeaseRequest, LeaseGrant], None],
    changed: HeartbeatTrigger,
) -> None:
    """Send heartbeats until cancelled; `answered` gets when each was sent, it and its answer. Raises `Removed`."""
    backoff = Backoff(longest=1.0)
    while True:
        sent_at, sent = time.monotonic(), heartbeat()
        try:
            grant = await client.renew_lease(edge_id, sent)
        except (Unreachable, ApiError) as error:
            if isinstance(error, ApiError) and error.slug == "edge-removed":
                raise EdgeRemoved from None
            log.warning("lease not renewed", extra={"why": str(error)})
            await asyncio.sleep(backoff.delay())
            continue
        # in time for the grace period after a restart of the control plane, which is one lease
        backoff = Backoff(longest=grant.lease_seconds / 3)
        answered(sent_at, sent, grant)
        await changed.wait(grant.lease_seconds / 3 * random.uniform(0.8, 1.0))  # noqa: S311
