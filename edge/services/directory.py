"""The services in force in this process: one catalogue, swapped between requests."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from edge.services.active_service import (
    DEFAULT_NAME,
    NO_DEFAULTS,
    ActiveService,
    MakeOrigins,
    ServiceDefaults,
)
from edge.services.catalogue import ServiceCatalogue
from edge.services.origin_side import OriginSide
from edge.services.preparation import PreparedCatalogue, prepare_catalogue
from services.published import PublishedService, ServiceGeneration
from services.published_file import RefusedService


class ServiceDirectory:
    """`current` serves the requests that begin now: read once for a request, it is one generation."""

    def __init__(
        self,
        make_origins: MakeOrigins,
        defaults: ServiceDefaults = NO_DEFAULTS,
        on_activation: Callable[[ServiceCatalogue], None] = lambda catalogue: None,
    ) -> None:
        self._on_activation = on_activation
        self.defaults = defaults
        self.make_origins = make_origins
        self._closing: set[asyncio.Task[None]] = set()
        self.current = ServiceCatalogue.empty()
        self.refused: tuple[RefusedService, ...] = ()
        self.fault = ""  # why the newest file of services is not in force

    def use_default_service(self) -> None:
        """Serve every name by one service, until services are published."""
        service = ActiveService(DEFAULT_NAME, 0, None, {}, self.make_origins, self.defaults)
        self.activate(PreparedCatalogue(ServiceCatalogue.single(service), ()))

    async def apply_generation(
        self, wanted: ServiceGeneration, kept: Mapping[str, PublishedService] | None = None
    ) -> None:
        """Prepare a generation beside the requests, then put it in force at once."""
        self.activate(
            await asyncio.to_thread(
                prepare_catalogue, wanted, self.current, kept or {}, self.make_origins, self.defaults
            )
        )

    def activate(self, prepared: PreparedCatalogue) -> None:
        """Put a catalogue in force for requests that begin from now on."""
        before, self.current = self.current, prepared.catalogue
        self.refused, self.fault = prepared.refused, ""
        self._on_activation(self.current)
        for name, service in before.services.items():
            if self.current.services.get(name) is not service:
                service.retire(self._close_later)

    def facts(self) -> dict[str, Any]:
        """Return what the health endpoint reports, and the lines of what is kept in place of what is refused."""
        return {
            "generation": self.current.generation,
            "fault": self.fault,
            "refused": [
                {
                    "name": each.name,
                    "revision": each.revision,
                    "reason": each.reason,
                    "kept": each.kept.line.decode() if each.kept is not None else None,
                }
                for each in self.refused
            ],
        }

    async def close(self) -> None:
        """Close the origins of all services; requests have ended."""
        self.activate(PreparedCatalogue(ServiceCatalogue.empty(), ()))
        await asyncio.gather(*self._closing)

    def _close_later(self, origins: OriginSide) -> None:
        task = asyncio.get_running_loop().create_task(origins.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
