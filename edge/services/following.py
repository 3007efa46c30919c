"""Follow the files of services in the state folder: each worker loads them, and puts them in force between requests."""

import asyncio
import logging
from pathlib import Path

from edge.services.directory import ServiceDirectory
from node.state.catalogue import SERVICES
from node.state.table_key import is_managed, trusted_table_keys
from services.published import PublishedService
from services.published_file import read_applied_services
from services.stored_changes import ServiceReader

log = logging.getLogger("edge.services")

POLL_SECONDS = 0.1


class ServiceFollower:
    """Loads what the agent writes.

    Without a file, one default service serves every name of a node that belongs to no control plane. A managed node
    serves nothing: which names, who may ask and what is cached was in the file.
    """

    def __init__(self, state: Path, directory: ServiceDirectory) -> None:
        self._state = state
        self._directory = directory
        self._reader = ServiceReader(state)

    async def load_first(self) -> None:
        """Load before the first request. An unusable file leaves no service: every request is misdirected."""
        if SERVICES.version_in(self._state) is None:
            if is_managed(self._state):
                self._directory.fault = "no services.json: nothing is served until the agent has written it"
                log.warning("services not applied: %s", self._directory.fault)
            else:
                self._directory.use_default_service()
            return
        await self._load_changed(read_kept_services(self._state))

    async def follow_file(self) -> None:
        """Load the file as it changes, until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self._load_changed({})

    async def _load_changed(self, kept: dict[str, PublishedService]) -> None:
        if not self._reader.has_changed():
            return
        try:
            keys = trusted_table_keys(self._state)
            wanted = await asyncio.to_thread(self._reader.read, keys)
        except (OSError, ValueError) as error:
            self._directory.fault = str(error)
            log.warning("services not applied, keeping generation %d: %s", self._generation, error)
            self._reader.look_again()
            return
        if wanted.is_initial:
            self._directory.fault = ""
            if self._generation == 0 and not self._directory.current.services:
                self._directory.use_default_service()  # nothing was ever published
            return
        await self._directory.apply_generation(wanted, kept)
        log.info("services: generation %d is in force", self._generation)
        for refused in self._directory.refused:
            log.warning("service %s: revision %d refused: %s", refused.name, refused.revision, refused.reason)

    @property
    def _generation(self) -> int:
        return self._directory.current.generation


def read_kept_services(state: Path) -> dict[str, PublishedService]:
    """Return what was in force before this start in place of revisions that were refused."""
    try:
        applied = read_applied_services(state)
    except (OSError, ValueError):
        return {}
    return {each.name: each.kept for each in applied.refused if each.kept is not None}
