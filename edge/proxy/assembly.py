"""Assemble the built-in application: store, origin client, proxy and background tasks."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from edge.cache.storage.store import ResponseStore
from edge.config.settings import EdgeSettings
from edge.origins.addresses import OriginAddresses
from edge.origins.assembly import single_origin
from edge.origins.registry import OriginRegistry
from edge.origins.shield.shield_peers import ShieldPeers
from edge.proxy.caching_proxy import CachingProxy
from edge.proxy.peer_application import PeerApplication
from edge.proxy.purge import PurgeApplier
from edge.services.active_service import ActiveService, ServiceDefaults
from edge.services.admission.rate_table import RateTable
from edge.services.directory import ServiceDirectory
from edge.services.following import ServiceFollower
from edge.services.origin_side import OriginSide
from edge.telemetry.telemetry import Telemetry
from services.document import HttpService


def make_service_origins(
    service: ActiveService, registry: OriginRegistry, upstream: OriginSide
) -> OriginSide:
    """Return the origins of a service; `upstream` is that of the default service."""
    if not isinstance(service.document, HttpService):
        return upstream
    return registry.make_origins(service.name, service.document, service.secrets)


@dataclass(frozen=True, slots=True)
class BuiltInCache:
    """The caching proxy for clients, what answers other edges, and how those are asked."""

    proxy: CachingProxy
    peer_application: PeerApplication
    peers: ShieldPeers


@asynccontextmanager
async def built_in_cache(
    settings: EdgeSettings, name: str, telemetry: Telemetry, rates: RateTable
) -> AsyncIterator[BuiltInCache]:
    """Run the caching proxy within the context. Raises OSError or sqlite3.Error if the folder is unusable."""
    store = ResponseStore(
        settings.cache,
        settings.cache_bytes,
        settings.object_bytes,
        settings.memory_bytes,
    )
    upstream = single_origin(settings.upstream, name)
    addresses = OriginAddresses(settings.origin_allow, settings.origin_deny)
    peers = ShieldPeers(telemetry.owner, name, settings.shield_port, lambda: store.last_purge)
    registry = OriginRegistry(name, addresses.refusal, secrets.randbits(32), peers)
    services = ServiceDirectory(
        lambda service: make_service_origins(service, registry, upstream),
        ServiceDefaults(settings.negative_seconds, rates),
        on_activation=lambda catalogue: telemetry.set_log_shares(catalogue.log_shares()),
    )
    follower = ServiceFollower(settings.state, services)
    await follower.load_first()
    proxy = CachingProxy(
        services,
        store,
        name,
        request_limit=settings.request_bytes,
        telemetry=telemetry,
        origin_facts=registry.facts,
    )
    purges = PurgeApplier(settings.state, store, proxy.fetches, services)
    await purges.catch_up()
    tasks = [
        asyncio.create_task(store.run_maintenance()),
        asyncio.create_task(purges.run()),
        asyncio.create_task(follower.follow_file()),
        asyncio.create_task(registry.checks.run()),
    ]
    try:
        peer_application = PeerApplication(proxy, services, name, lambda: store.last_purge, telemetry)
        yield BuiltInCache(proxy, peer_application, peers)
    finally:
        for task in tasks:
            await cancel_task(task)
        await proxy.fetches.stop()
        await proxy.coded.stop()
        await services.close()
        await registry.close()
        await peers.close()
        await upstream.close()
        store.close()


async def cancel_task(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
