"""Compressed bodies of stored responses: made once a coding, stored beside their source, and gone with its URL."""

import asyncio
import logging
from collections import OrderedDict

from edge.cache.rules.stored_response import StoredResponse
from edge.cache.rules.tags import index_tags
from edge.cache.storage.store import INLINE_BODY_LIMIT, ResponseStore
from edge.services.transforms.content_coding import (
    ContentCodings,
    coded_key,
    coded_view,
    compress_body,
    uncoded_view,
)
from services.transforms import Coding

log = logging.getLogger("edge.proxy.coded_responses")

WAITING_LIMIT = 64  # compressions in the background; beyond it responses are sent as they are
USELESS_LIMIT = 10_000  # bodies remembered that a coding does not make smaller


class CodedResponses:
    """Finds and makes what clients are sent in a coding; small bodies at once, large ones in the background."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store
        self._one_at_a_time = asyncio.Semaphore(1)
        self._making: dict[str, asyncio.Task[StoredResponse | None]] = {}
        self._useless: OrderedDict[str, None] = OrderedDict()

    def find_in_memory(
        self, source: StoredResponse, codings: ContentCodings, coding: Coding | None
    ) -> tuple[StoredResponse, StoredResponse] | None:
        """Return what a client is sent of `source`, and the entry of the memory that has its body; None without one."""
        covered = codings.covers(source)
        key = coded_key(source, coding) if covered and coding is not None else ""
        if key and key not in self._useless:
            found = self._store.find_in_memory(key, {})
            body = self._store.keep_body(found) if found is not None else None
            return (_kept_view(source, body, coding), body) if body is not None else None
        kept = self._store.keep_body(source)
        if kept is None:
            return None
        return (_kept_view(kept, kept, None) if covered else kept), kept

    async def select_view(
        self, source: StoredResponse, codings: ContentCodings | None, coding: Coding | None
    ) -> StoredResponse:
        """Return what a client is sent of `source`, compressed if that is stored or small enough to be made now."""
        if codings is None or not codings.covers(source):
            return source
        key = coded_key(source, coding) if coding is not None else ""
        if coding is None or key in self._useless:
            return _kept_view(source, source, None)
        body = self._store.find(key, {})
        if body is None:
            making = self._start_making(source, key, coding)
            if making is not None and source.size <= INLINE_BODY_LIMIT:
                body = await asyncio.shield(making)
        return _kept_view(source, source if body is None else body, coding if body is not None else None)

    def arriving_view(self, source: StoredResponse, codings: ContentCodings | None) -> StoredResponse:
        """Return what a client is sent while the response arrives: uncompressed."""
        return uncoded_view(source) if codings is not None and codings.covers(source) else source

    async def stop(self) -> None:
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def busy(self) -> bool:
        return bool(self._making)

    def _start_making(
        self, source: StoredResponse, key: str, coding: Coding
    ) -> "asyncio.Task[StoredResponse | None] | None":
        running = self._making.get(key)
        if running is None and len(self._making) < WAITING_LIMIT:
            running = self._making[key] = asyncio.create_task(self._make_body(source, key, coding))
            running.add_done_callback(lambda _: self._making.pop(key, None))
        return running

    async def _make_body(self, source: StoredResponse, key: str, coding: Coding) -> StoredResponse | None:
        since = self._store.last_change
        try:
            async with self._one_at_a_time:
                data = await asyncio.to_thread(self._compress_source, source, coding)
            if len(data) < source.size:
                return await self._keep_body(source, key, data, since)
        except OSError as error:  # it has just been evicted, or the disk fails
            log.info("%s: not compressed: %s", source.key, error)
            return None
        self._useless[key] = None
        if len(self._useless) > USELESS_LIMIT:
            self._useless.popitem(last=False)
        return None

    def _compress_source(self, source: StoredResponse, coding: Coding) -> bytes:
        if source.body is not None:
            return compress_body(source.body, coding)
        with self._store.open(source) as file:
            data = file.read()
        if len(data) != source.size:
            raise OSError("stored body is truncated")
        return compress_body(data, coding)

    async def _keep_body(
        self, source: StoredResponse, key: str, data: bytes, since: int
    ) -> StoredResponse | None:
        entry = StoredResponse(key, (), 200, [], source.requested_at, source.received_at, len(data))
        tags = index_tags(source.key, source.fields)
        if len(data) <= INLINE_BODY_LIMIT:
            entry.body = data
            return entry if await self._store.insert(entry, None, tags, since) else None
        file, kept = self._store.body_file(), False
        entry.file = file.name
        try:
            await asyncio.to_thread(file.write, data)
            kept = await self._store.insert(entry, file, tags, since)
        finally:
            if not kept:
                file.discard()
            file.close()
        return entry if kept else None


def _kept_view(source: StoredResponse, body: StoredResponse, coding: Coding | None) -> StoredResponse:
    """Return the view of a source, made once while both are in memory: its prepared head is kept with it."""
    kept = body.view
    if kept is not None and kept[0] is source:
        return kept[1]
    made = uncoded_view(source) if coding is None else coded_view(source, body, coding)
    body.view = (source, made)
    return made
