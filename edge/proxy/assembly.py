"""Assemble the built-in application: store, origin client, proxy and background tasks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge.cache.storage.store import ResponseStore
from edge.config.settings import EdgeSettings
from edge.proxy.caching_proxy import CachingProxy
from edge.proxy.purge import follow_purges
from edge.proxy.upstream import OriginClient, cancel_task
from edge.services.active_service import ActiveService, ServiceDefaults
from edge.services.directory import ServiceDirectory
from edge.services.following import ServiceFollower
from edge.telemetry.telemetry import Telemetry
from services.document import HttpService


def origin_url(service: ActiveService, upstream: str) -> str:
    """Return the URL of a service's origin; `upstream` is that of the default service."""
    return service.document.origins[0].url if isinstance(service.document, HttpService) else upstream


@asynccontextmanager
async def built_in_cache(
    settings: EdgeSettings, name: str, telemetry: Telemetry
) -> AsyncIterator[CachingProxy]:
    """Run the caching proxy within the context. Raises OSError or sqlite3.Error if the folder is unusable."""
    store = ResponseStore(
        settings.cache,
        settings.cache_bytes,
        settings.object_bytes,
        settings.memory_bytes,
    )
    services = ServiceDirectory(
        lambda service: OriginClient(origin_url(service, settings.upstream), name),
        ServiceDefaults(settings.negative_seconds),
    )
    follower = ServiceFollower(settings.state, services)
    await follower.load_first()
    proxy = CachingProxy(services, store, name, request_limit=settings.request_bytes, telemetry=telemetry)
    tasks = [
        asyncio.create_task(store.run_maintenance()),
        asyncio.create_task(follow_purges(settings.state, store, proxy.fetches, services)),
        asyncio.create_task(follower.follow_file()),
    ]
    try:
        yield proxy
    finally:
        for task in tasks:
            await cancel_task(task)
        await proxy.fetches.stop()
        await services.close()
        store.close()
