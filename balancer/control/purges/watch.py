"""The newest purges in memory, requests that wait for the next one, and which edge has applied which."""

import asyncio
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends

from balancer.api.purges import PurgePage, PurgeProgress, PurgeView
from balancer.control.http.parts import provide_part

PURGES_KEPT = 1000
WAITING_SHOWN = 100
PROGRESS_SECONDS = 0.01  # between two counts for a request that waits: a fleet's answers come together


class PurgeWatch:
    """What edges and operators ask about purges is answered from here."""

    def __init__(self) -> None:
        self._views: list[PurgeView] = []
        self._pages: dict[tuple[int, int], bytes] = {}
        self._applied: dict[int, int] = {}
        self._newer = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self._closed = False

    @property
    def newest(self) -> int:
        return self._views[-1].id if self._views else 0

    def add_purges(self, views: Iterable[PurgeView]) -> None:
        """Add committed purges in order of their ids, and answer the requests that wait for them."""
        fresh = [view for view in views if view.id > self.newest]
        if not fresh:
            return
        self._views = [*self._views, *fresh][-PURGES_KEPT:]
        self._pages.clear()
        self._wake_all()

    def page(self, after: int, limit: int) -> bytes:
        """Return a page of purges as JSON; many edges ask for the same one."""
        body = self._pages.get((after, limit))
        if body is None:
            if len(self._pages) >= PURGES_KEPT:
                self._pages.clear()
            body = self._pages[after, limit] = self._make_page(after, limit).model_dump_json().encode()
        return body

    def _make_page(self, after: int, limit: int) -> PurgePage:
        found = [view for view in self._views if view.id > after]
        missed = len(self._views) == PURGES_KEPT and after < self._views[0].id - 1
        following = found[limit - 1].id if len(found) > limit else None
        return PurgePage(items=found[:limit], next=following, missed=missed)

    async def wait_beyond(self, after: int, seconds: float) -> None:
        """Wait for a purge behind `after`, at most `seconds`."""
        if self.newest <= after and not self._closed:
            await _wait_for(self._newer, seconds)

    def note_applied(self, edge_id: int, purge: int | None) -> None:
        """Record what an edge's cache has applied; None for an edge without a cache."""
        before = self._applied.get(edge_id)
        if purge is None:
            self._applied.pop(edge_id, None)
        else:
            self._applied[edge_id] = purge
        if purge != before:
            self._acknowledged.set()
            self._acknowledged = asyncio.Event()

    def forget_edge(self, edge_id: int) -> None:
        """Drop an edge whose lease has ended."""
        self.note_applied(edge_id, None)

    def progress(self, purge: int) -> PurgeProgress:
        waiting = sorted(edge_id for edge_id, applied in self._applied.items() if applied < purge)
        edges = len(self._applied)
        return PurgeProgress(
            id=purge, edges=edges, done=edges - len(waiting), waiting=waiting[:WAITING_SHOWN]
        )

    async def wait_applied(self, purge: int, seconds: float) -> PurgeProgress:
        """Wait until every live edge has applied a purge, at most `seconds`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            acknowledged, progress = self._acknowledged, self.progress(purge)
            left = until - loop.time()
            if progress.done == progress.edges or left <= 0 or self._closed:
                return progress
            await _wait_for(acknowledged, left)
            await asyncio.sleep(PROGRESS_SECONDS)

    def close(self) -> None:
        """Answer all waiting requests, and later ones at once."""
        self._closed = True
        self._wake_all()

    def _wake_all(self) -> None:
        for event in (self._newer, self._acknowledged):
            event.set()
        self._newer, self._acknowledged = asyncio.Event(), asyncio.Event()


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


PurgeWatchPart = Annotated[PurgeWatch, Depends(provide_part(PurgeWatch))]
