"""Fetch which edges shield services, while there is such a service, and hand them to the edge in shield.json."""

import asyncio
import logging
import random
from collections.abc import Callable

from balancer.api.client import ApiError, Unreachable
from balancer.api.services_client import ServicesClient
from node.state.shield import ShieldSites
from services.published import ServiceGeneration

log = logging.getLogger(__name__)

POLL_SECONDS = 10.0
_SHIELD = b'"shield":{'  # of canonical JSON: in a text, the quotes have backslashes


class ShieldSync:
    """`store` is the state folder's. Between two answers edges that fail are passed over by those that ask them."""

    def __init__(self, store: Callable[[ShieldSites], None]) -> None:
        self._store = store
        self._checked: ServiceGeneration | None = None
        self._has_shield = False
        self._has_sites = False

    async def follow(
        self,
        client: ServicesClient,
        services: Callable[[], ServiceGeneration | None],
        seconds: float = POLL_SECONDS,
    ) -> None:
        """Follow until cancelled; `services` returns those that the edge was handed last."""
        while True:
            try:
                if self._is_needed(services()) or self._has_sites:
                    fresh = await client.shield_sites()
                    self._store(fresh)
                    self._has_sites = bool(fresh.sites)  # with the last shield the sites end, too
            except (Unreachable, ApiError, ValueError, OSError) as error:
                log.warning("shielding sites not fetched", extra={"why": str(error)})
            await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311 (spreads load)

    def _is_needed(self, services: ServiceGeneration | None) -> bool:
        if services is not self._checked:
            self._checked = services
            lines = (service.line for service in services.services) if services is not None else ()
            self._has_shield = any(_SHIELD in line for line in lines)
        return self._has_shield
