"""Purges that the control plane asks for, as the agent writes them to purges.json in the state folder.

`{"purges": [{"id": 7, "url": "https://cdn.example/a", "tag": null, "at": 1780000000.0}, ...]}`: ids grow, each purge
names a URL or a tag. The store remembers the last one that it applied, in the same transaction, so that each is applied
once, whatever restarts.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.cache.storage.store import Store
from edge.http.request import key_of_url
from edge.proxy.fetch import Fetches

log = logging.getLogger("edge.purge")

LOOK_EVERY = 0.25  # seconds
NAME = "purges.json"


@dataclass(frozen=True, slots=True)
class Purge:
    """Remove the responses to one URL, or those with a tag."""

    id: int
    url: str | None
    tag: str | None


def parse(value: Any) -> list[Purge]:
    """The purges in order. Raises `ValueError` that names what is wrong."""
    try:
        found = [
            Purge(int(one["id"]), _text(one.get("url")), _text(one.get("tag"))) for one in value["purges"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a list of purges: {error!r}") from None
    return sorted(found, key=lambda purge: purge.id)


async def apply(purge: Purge, store: Store, fetches: Fetches) -> None:
    """Remove what it names; what is on its way just now is not stored."""
    keys: list[str] = []
    if purge.url:
        with contextlib.suppress(ValueError):  # nothing was ever stored for what is no URL
            keys = [key_of_url(purge.url)]
    tags = [purge.tag] if purge.tag else []
    if tags:
        fetches.doom_all()  # the tags of what is on its way are not known yet
    for key in keys:
        fetches.doom(key)
    removed = await store.purge(purge.id, keys, tags)
    if removed is not None:
        log.info("purge %d (%s): %d responses removed", purge.id, purge.url or f"tag {purge.tag}", removed)


async def follow_purges(state: Path, store: Store, fetches: Fetches) -> None:
    """Apply purges as they come, until cancelled."""
    path, seen = state / NAME, (0, 0)
    applied = store.last_purge
    while True:
        now = _version(path)
        if now != seen:
            seen = now
            try:
                for purge in parse(json.loads(path.read_text())):
                    if purge.id > applied:
                        await apply(purge, store, fetches)
                        applied = purge.id
            except FileNotFoundError:
                pass
            except (OSError, ValueError) as error:
                log.warning("%s: %s", path, error)
            except sqlite3.Error as error:
                log.warning("a purge could not be applied, trying again: %s", error)
                seen = (0, 0)
        await asyncio.sleep(LOOK_EVERY)


def _version(path: Path) -> tuple[int, int]:
    """Changes whenever the file is replaced."""
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_ino


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value or None
