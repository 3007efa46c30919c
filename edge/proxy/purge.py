"""Apply the purges that the agent writes to purges.json in the state folder, and answer in purged.json.

The store records the last applied id in the same transaction, so each is applied once, also across restarts.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from edge.cache.storage.purge_scope import PurgeScope, range_from
from edge.cache.storage.store import ResponseStore
from edge.proxy.fetches import Fetches
from edge.services.catalogue import ServiceCatalogue
from edge.services.directory import ServiceDirectory
from edge.telemetry.figures import DEFAULT_SERVICE
from node.state.catalogue import PURGES
from node.state.purges import Purge, read_applied_purge, read_purges, write_applied_purge
from node.state.state_file import FileWatch
from smkex.http.semantics.authority import Authority
from smkex.http.semantics.targets import parse_url

log = logging.getLogger("edge.purge")

PURGE_POLL_SECONDS = 0.05  # seconds
REPORT_SECONDS = 1.0  # seconds between looks whether purged.json is right: workers write it beside each other


def scope_of_purge(purge: Purge, catalogue: ServiceCatalogue, now: float) -> PurgeScope:
    """Return what a purge covers. Nothing is stored under an invalid URL."""
    soft_at = now if purge.soft else None
    try:
        if purge.tag:
            return PurgeScope(tags=(purge.tag,), soft_at=soft_at)
        if purge.url:
            return PurgeScope(urls=(catalogue.purged_key(purge.url),), soft_at=soft_at)
        return PurgeScope(ranges=_ranges_of(purge, catalogue), soft_at=soft_at)
    except ValueError as error:
        log.warning("purge %d covers nothing: %s", purge.id, error)
        return PurgeScope()


def _ranges_of(purge: Purge, catalogue: ServiceCatalogue) -> tuple[tuple[str, str], ...]:
    """Return ranges of keys. Raises `ValueError`."""
    if purge.everything or (purge.service == DEFAULT_SERVICE and catalogue.generation == 0):
        return (range_from(""),)
    if purge.service:
        return (range_from(f"{purge.service}|"),)
    if purge.host:
        host = Authority.parse(purge.host).host
        begin = _key_prefix(catalogue, host) + host
        return range_from(f"{begin} "), range_from(f"{begin}:")
    authority, target = parse_url(purge.prefix or "")
    return (range_from(f"{_key_prefix(catalogue, str(authority))}{authority} {target.decode('ascii')}"),)


def _key_prefix(catalogue: ServiceCatalogue, host: str) -> str:
    service = catalogue.find_service(host)
    return service.key_prefix if service is not None else ""


async def apply_purge(purge: Purge, store: ResponseStore, fetches: Fetches, scope: PurgeScope) -> None:
    """Remove the responses, or make them stale; running fetches of them are not stored."""
    if scope.covers_unknown:
        fetches.discard_all_running()  # tags of running fetches are not known yet
    for url in scope.urls:
        fetches.discard_running(url)
    count = await store.purge(purge.id, scope)
    if count is not None:
        log.info("purge %d applied (%s): %d responses", purge.id, purge.describe(), count)


class PurgeApplier:
    """Applies purges as the file changes. Each worker has one; the first of them applies a purge for all."""

    def __init__(
        self,
        state: Path,
        store: ResponseStore,
        fetches: Fetches,
        services: ServiceDirectory,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._store = store
        self._fetches = fetches
        self._services = services
        self._clock = clock
        self._watch = FileWatch(PURGES, state)
        self._applied = store.last_purge
        self._report_at = 0.0

    async def catch_up(self) -> None:
        """Apply what was asked for while this edge did not run, before its first request."""
        if self._watch.has_changed():
            await self._apply_new()
        self._report_applied()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            if self._watch.has_changed():
                await self._apply_new()
                self._report_at = 0.0
            if time.monotonic() >= self._report_at:
                self._report_applied()
            await asyncio.sleep(PURGE_POLL_SECONDS)

    async def _apply_new(self) -> None:
        try:
            for purge in read_purges(self._state):
                if purge.id > self._applied:
                    scope = scope_of_purge(purge, self._services.current, self._clock())
                    await apply_purge(purge, self._store, self._fetches, scope)
                    self._applied = purge.id
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("invalid purge file, ignored: %s: %s", PURGES.path_in(self._state), error)
        except sqlite3.Error as error:
            log.warning("purge not applied, retrying: %s", error)
            self._watch.forget_version()

    def _report_applied(self) -> None:
        """Say in purged.json what the store has applied."""
        self._report_at = time.monotonic() + REPORT_SECONDS
        try:
            applied = self._store.last_purge
            if read_applied_purge(self._state) != applied:
                write_applied_purge(self._state, applied)
        except (OSError, sqlite3.Error) as error:
            log.warning("applied purges not reported: %s", error)
