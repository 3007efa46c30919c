"""The application that the edge serves: the built-in cache, or any ASGI application (`--app module:app`)."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uvicorn.importer import ImportFromStringError, import_from_string

from edge.config.settings import EdgeSettings
from edge.origins.addresses import OriginAddresses
from edge.proxy.assembly import built_in_cache
from edge.server.shield import ShieldFollower
from edge.services.admission.rate_table import RateTable
from edge.services.served_connection import ServedConnection
from edge.streams.stream_services import StreamServices
from edge.telemetry.figures import DEFAULT_SERVICE
from edge.telemetry.recorded_application import RecordedApplication
from edge.telemetry.recorded_peers import RecordedPeers
from edge.telemetry.telemetry import Telemetry
from smkex.http.server.http_server import HttpServer


@dataclass(frozen=True, slots=True)
class Application:
    """A running application; `facts` is what health publishes of it."""

    server: HttpServer
    facts: Callable[[], dict[str, Any]]
    streams: StreamServices | None = None  # without services from the control plane every session is HTTP
    # the name of the service that a session's server name belongs to
    service_of: Callable[[str], str | None] = lambda server_name: DEFAULT_SERVICE


class ApplicationUnusable(Exception):
    """The application cannot be imported, or refused to start."""


@asynccontextmanager
async def run_application(
    settings: EdgeSettings, name: str, telemetry: Telemetry, rates: RateTable
) -> AsyncIterator[Application]:
    """Run the HTTP server of the application. Raises `ApplicationUnusable`, or OSError for the cache's directory."""

    def open_connection(transport: Any) -> ServedConnection:
        return ServedConnection.of_transport(transport, telemetry.owner)

    if settings.app is None:
        async with (
            built_in_cache(settings, name, telemetry, rates) as cache,
            _run_server(
                HttpServer(
                    RecordedApplication(cache.proxy, telemetry),
                    date=False,
                    fast_path=cache.proxy.fast_path.answer,
                    open_connection=open_connection,
                    record_rejection=telemetry.record_rejection,
                )
            ) as server,
            _run_server(
                HttpServer(RecordedPeers(cache.peer_application, telemetry), date=False)
            ) as peer_server,
        ):
            follower = ShieldFollower(settings, telemetry.owner, cache.peers, peer_server)
            following = asyncio.create_task(follower.follow_file())
            try:
                refusal = OriginAddresses(settings.origin_allow, settings.origin_deny).refusal
                services = cache.proxy.services
                yield Application(
                    server,
                    cache.proxy.facts,
                    StreamServices(services, refusal, telemetry),
                    lambda server_name: services.current.owner_name(server_name),
                )
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                await follower.stop()
    else:
        server = HttpServer(
            RecordedApplication(_import_application(settings.app), telemetry, DEFAULT_SERVICE),
            open_connection=open_connection,
            record_rejection=telemetry.record_rejection,
        )
        async with _run_server(server):
            yield Application(server, dict)


@asynccontextmanager
async def _run_server(server: HttpServer) -> AsyncIterator[HttpServer]:
    if not await server.start():
        raise ApplicationUnusable("the application refused to start; see the log")
    try:
        yield server
    finally:
        await server.stop()


def _import_application(name: str) -> object:
    sys.path.insert(0, str(Path.cwd()))  # as uvicorn and gunicorn do: import from the working directory
    try:
        return import_from_string(name)
    except ImportFromStringError as error:
        raise ApplicationUnusable(str(error)) from None
