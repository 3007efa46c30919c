"""Apply the purges that the agent writes to purges.json in the state folder.

The store records the last applied id in the same transaction, so each is applied once, also
across restarts.
"""

import asyncio
import contextlib
import logging
import sqlite3
from pathlib import Path

from edge.cache.storage.store import ResponseStore
from edge.proxy.fetches import Fetches
from edge.services.catalogue import ServiceCatalogue
from edge.services.directory import ServiceDirectory
from node.state.catalogue import PURGES
from node.state.purges import Purge, read_purges
from node.state.state_file import FileWatch

log = logging.getLogger("edge.purge")

PURGE_POLL_SECONDS = 0.25  # seconds


async def apply_purge(
    purge: Purge, store: ResponseStore, fetches: Fetches, catalogue: ServiceCatalogue
) -> None:
    """Remove the responses; running fetches of them are not stored."""
    keys: list[str] = []
    if purge.url:
        with contextlib.suppress(ValueError):  # nothing is stored under an invalid URL
            keys = [catalogue.purged_key(purge.url)]
    tags = [purge.tag] if purge.tag else []
    if tags:
        fetches.discard_all_running()  # tags of running fetches are not known yet
    for key in keys:
        fetches.discard_running(key)
    removed = await store.purge(purge.id, keys, tags)
    if removed is not None:
        log.info(
            "purge %d applied (%s): %d responses removed", purge.id, purge.url or f"tag {purge.tag}", removed
        )


async def follow_purges(
    state: Path, store: ResponseStore, fetches: Fetches, services: ServiceDirectory
) -> None:
    """Apply purges as the file changes, until cancelled."""
    watch, applied = FileWatch(PURGES, state), store.last_purge
    while True:
        if watch.has_changed():
            try:
                for purge in read_purges(state):
                    if purge.id > applied:
                        await apply_purge(purge, store, fetches, services.current)
                        applied = purge.id
            except FileNotFoundError:
                pass
            except (OSError, ValueError) as error:
                log.warning("invalid purge file, ignored: %s: %s", PURGES.path_in(state), error)
            except sqlite3.Error as error:
                log.warning("purge not applied, retrying: %s", error)
                watch.forget_version()
        await asyncio.sleep(PURGE_POLL_SECONDS)
