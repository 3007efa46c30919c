"""Follow the services that this edge serves: long polls, and `services.json` the newest generation that was signed."""

import asyncio
import logging
from collections.abc import Callable

from balancer.agent.sync.backoff import Backoff
from balancer.agent.sync.table_follower import LONG_POLL_SECONDS
from balancer.api.client import ApiError, Garbled, Unreachable
from balancer.api.services_client import ServicesClient
from node.state.state_file import StateFileInvalid
from services.published import ServiceGeneration

log = logging.getLogger(__name__)


class ServiceSync:
    """Keeps the newest generation. `read`, `verify`, `store` and `is_stored` are the state folder's."""

    def __init__(
        self,
        read: Callable[[], ServiceGeneration],
        verify: Callable[[ServiceGeneration], object],
        store: Callable[[ServiceGeneration], None],
        is_stored: Callable[[], bool],
    ) -> None:
        self._read, self._verify, self._store, self._is_stored = read, verify, store, is_stored
        self.kept: ServiceGeneration | None = None

    async def follow(self, client: ServicesClient, wait: float = LONG_POLL_SECONDS) -> None:
        """Follow until cancelled."""
        self.kept = await asyncio.to_thread(self._read_kept)
        backoff, loop = Backoff(first=4.0, longest=8.0, jitter=1.0), asyncio.get_running_loop()
        whole = False  # ask for everything, since a difference was invalid
        while True:
            started = loop.time()
            if self.kept is not None and not self._is_stored():  # the edge serves nothing without the file
                log.warning("services were removed, storing them again")
                await asyncio.to_thread(self._store, self.kept)
            try:
                fresh = await client.published_services(None if whole else self.kept, wait)
                if fresh is not None:
                    await asyncio.to_thread(self._verify, fresh)
            except (Unreachable, ApiError, ValueError) as error:
                log.warning("services not fetched", extra={"why": str(error)})
                whole = isinstance(error, Garbled | ValueError)
                await asyncio.sleep(backoff.delay())
                continue
            whole = False
            if await self._keep_newer(fresh):
                backoff.reset()
            elif loop.time() - started < wait / 2:
                await asyncio.sleep(backoff.delay())  # the control plane is about to stop, or went back
            else:
                backoff.reset()

    async def _keep_newer(self, fresh: ServiceGeneration | None) -> bool:
        if fresh is None:
            return False
        if self.kept is not None and fresh.generation <= self.kept.generation:
            facts = {"generation": fresh.generation, "kept": self.kept.generation}
            log.error("older services ignored", extra=facts)
            return False
        await asyncio.to_thread(self._store, fresh)
        self.kept = fresh
        log.info("services stored", extra={"generation": fresh.generation, "services": len(fresh.services)})
        return True

    def _read_kept(self) -> ServiceGeneration | None:
        try:
            return self._read()
        except FileNotFoundError:
            return None
        except (OSError, StateFileInvalid, ValueError) as error:
            log.warning("stored services ignored", extra={"why": str(error)})
            return None
