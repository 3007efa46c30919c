"""Apply the purges that the agent writes to purges.json in the state folder.

`{"purges": [{"id": 7, "url": "https://cdn.example/a", "tag": null, "at": 1780000000.0}, ...]}`: ids increase, each
purge names a URL or a tag. The store records the last applied id in the same transaction, so each is applied once, also
across restarts.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.cache.storage.store import ResponseStore
from edge.http.request import url_cache_key
from edge.proxy.fetch import Fetches

log = logging.getLogger("edge.purge")

PURGE_POLL_SECONDS = 0.25  # seconds
PURGES_FILE = "purges.json"


@dataclass(frozen=True, slots=True)
class Purge:
    """Remove the responses to one URL, or those with a tag."""

    id: int
    url: str | None
    tag: str | None


def parse_purges(value: Any) -> list[Purge]:
    """Return the purges in order of id. Raises `ValueError` that names the fault."""
    try:
        found = [
            Purge(int(one["id"]), _optional_text(one.get("url")), _optional_text(one.get("tag")))
            for one in value["purges"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a list of purges: {error!r}") from None
    return sorted(found, key=lambda purge: purge.id)


async def apply_purge(purge: Purge, store: ResponseStore, fetches: Fetches) -> None:
    """Remove the responses; running fetches of them are not stored."""
    keys: list[str] = []
    if purge.url:
        with contextlib.suppress(ValueError):  # nothing is stored under an invalid URL
            keys = [url_cache_key(purge.url)]
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


async def follow_purges(state: Path, store: ResponseStore, fetches: Fetches) -> None:
    """Apply purges as the file changes, until cancelled."""
    path, seen = state / PURGES_FILE, (0, 0)
    applied = store.last_purge
    while True:
        now = _file_version(path)
        if now != seen:
            seen = now
            try:
                for purge in parse_purges(json.loads(path.read_text())):
                    if purge.id > applied:
                        await apply_purge(purge, store, fetches)
                        applied = purge.id
            except FileNotFoundError:
                pass
            except (OSError, ValueError) as error:
                log.warning("invalid purge file, ignored: %s: %s", path, error)
            except sqlite3.Error as error:
                log.warning("purge not applied, retrying: %s", error)
                seen = (0, 0)
        await asyncio.sleep(PURGE_POLL_SECONDS)


def _file_version(path: Path) -> tuple[int, int]:
    """Modification time and inode: they change when the file is replaced."""
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_ino


def _optional_text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value or None
