"""Edges of one fleet in one process: caches that ask each other over TLS, in front of one origin."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from edge_process import free_port
from one_service import DOCUMENT
from origin_groups import LiveOrigin

from edge.cache.storage.store import ResponseStore
from edge.config.settings import EdgeSettings
from edge.origins.registry import OriginRegistry
from edge.origins.shield.shield_peers import ShieldPeers
from edge.proxy.caching_proxy import CachingProxy
from edge.proxy.peer_application import PeerApplication
from edge.server.shield import ShieldFollower
from edge.services.active_service import ActiveService
from edge.services.catalogue import ServiceCatalogue
from edge.services.directory import ServiceDirectory
from edge.services.preparation import PreparedCatalogue
from edge.telemetry.access_log.access_log import AccessLog
from edge.telemetry.access_log.file_sink import FileSink
from edge.telemetry.access_log.json_lines import JsonLines
from edge.telemetry.access_log.writer import LogWriter
from edge.telemetry.recorded_application import RecordedApplication
from edge.telemetry.recorded_peers import RecordedPeers
from edge.telemetry.telemetry import Telemetry
from node.state.shield import ShieldEdge, ShieldSites
from services.document import HttpService, parse_document
from smkex.http.server.http_server import HttpServer

KEY = bytes(range(32))


@dataclass
class FleetEdge:
    """One edge: its cache, a client of it, and its shield."""

    edge: ShieldEdge
    proxy: CachingProxy
    services: ServiceDirectory
    peers: ShieldPeers
    client: httpx.AsyncClient
    follower: ShieldFollower
    registry: OriginRegistry
    telemetry: Telemetry

    async def get(self, path: str = "/a", **fields: str) -> httpx.Response:
        return await self.client.get(path, headers={k.replace("_", "-"): v for k, v in fields.items()})

    def serve_document(self, document: dict[str, Any]) -> None:
        """Put a revision in force."""
        parsed = parse_document({**DOCUMENT, **document})
        assert isinstance(parsed, HttpService)
        service = ActiveService("shop", 1, parsed, {}, self.services.make_origins, self.services.defaults)
        self.services.activate(PreparedCatalogue(ServiceCatalogue.single(service), ()))

    async def read_log(self) -> list[dict[str, Any]]:
        """End the telemetry, and return the lines of its access log."""
        await self.telemetry.close()
        path = self.follower._settings.state.parent / "access.log"
        return [json.loads(line) for line in path.read_text().splitlines()]

    async def learn_sites(self, sites: ShieldSites) -> None:
        """Apply what shield.json says."""
        await self.follower.apply_sites(sites)


@asynccontextmanager
async def _fleet_edge(folder: Path, edge: ShieldEdge, port: int) -> AsyncIterator[FleetEdge]:
    folder.mkdir()
    name = f"{edge.name}.sennit"
    log = AccessLog(JsonLines(), LogWriter(FileSink(folder / "access.log")))
    settings = EdgeSettings(state=folder / "state", shield_port=port, _cli_parse_args=[])  # type: ignore[call-arg]
    store = ResponseStore(folder / "cache", 10_000_000, 1_000_000)
    peers = ShieldPeers(edge.id, name, port, lambda: store.last_purge)
    registry = OriginRegistry(name, lambda address: None, peers=peers)

    def make_origins(service: ActiveService) -> Any:
        assert isinstance(service.document, HttpService)
        return registry.make_origins(service.name, service.document, service.secrets)

    services = ServiceDirectory(make_origins)
    telemetry = Telemetry(edge.id, log)
    proxy = CachingProxy(services, store, name, telemetry=telemetry)
    peer_application = PeerApplication(proxy, services, name, lambda: store.last_purge, telemetry)
    server = HttpServer(RecordedPeers(peer_application, telemetry), date=False)
    await server.start()
    follower = ShieldFollower(settings, edge.id, peers, server)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(RecordedApplication(proxy, telemetry)), base_url="http://cdn"
    ) as client:
        client.headers.clear()
        yield FleetEdge(edge, proxy, services, peers, client, follower, registry, telemetry)
    await follower.stop()
    await server.stop()
    await telemetry.close()
    await proxy.fetches.stop()
    await services.close()
    await registry.close()
    await peers.close()
    store.close()


@asynccontextmanager
async def shielded_edges(
    folder: Path, count: int = 3, members: int = 2, **document: Any
) -> AsyncIterator[tuple[list[FleetEdge], LiveOrigin, ShieldSites]]:
    """`count` edges, the first `members` of which are the shielding site `ams`, and an origin."""
    port = free_port()
    listed = [ShieldEdge(number, f"edge{number}", f"127.0.77.{number}") for number in range(1, count + 1)]
    sites = ShieldSites(KEY, {"ams": tuple(listed[:members])})
    origin = LiveOrigin("origin")
    await origin.start()
    async with AsyncExitStack() as stack:
        edges = [
            await stack.enter_async_context(_fleet_edge(folder / each.name, each, port)) for each in listed
        ]
        for each in edges:
            each.serve_document(
                {
                    "origins": [{"name": "main", "url": f"http://127.0.0.1:{origin.port}"}],
                    "shield": {"site": "ams"},
                    **document,
                }
            )
            await each.learn_sites(sites)
        yield edges, origin, sites
        origin.kill()
        await asyncio.sleep(0)
