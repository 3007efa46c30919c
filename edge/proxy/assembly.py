"""The built-in application put together: store, origin, proxy, and the tasks that keep them up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge.cache.storage.store import Store
from edge.config.settings import EdgeSettings
from edge.proxy.caching_proxy import CachingProxy
from edge.proxy.purge import follow_purges
from edge.proxy.upstream import Upstream, cancel


@asynccontextmanager
async def cache(settings: EdgeSettings, name: str) -> AsyncIterator[CachingProxy]:
    """The caching proxy, for as long as it is served. Raises OSError, sqlite3.Error where the folder is unusable."""
    store = Store(
        settings.cache,
        settings.cache_bytes,
        settings.object_bytes,
        settings.memory_bytes,
        settings.negative_seconds,
    )
    upstream = Upstream(settings.upstream, name)
    proxy = CachingProxy(upstream, store, name, request_limit=settings.request_bytes)
    tasks = [
        asyncio.create_task(store.keep_up()),
        asyncio.create_task(follow_purges(settings.state, store, proxy.fetches)),
    ]
    try:
        yield proxy
    finally:
        for task in tasks:
            await cancel(task)
        await proxy.fetches.stop()
        await upstream.close()
        store.close()
