"""Run the origin application under uvicorn."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import uvicorn

from origin.app import OriginApp
from origin.faults import App, Faults
from origin.settings import OriginSettings
from runtime.systemd import feed_watchdog, notify_systemd
from smkex.http.server.http1 import Http1Protocol, RequestLimits

# an edge holds a response back for as long as its slowest client, which it drops after 30 s
LIMITS = RequestLimits(write_wait=120.0)
DEADLINE_CHECK_SECONDS = 1.0


class OriginProtocol(Http1Protocol):
    """HTTP/1.1 with the bounds and checks of the edge."""

    def __init__(self, **options: Any) -> None:
        super().__init__(limits=LIMITS, **options)


class OriginServer(uvicorn.Server):
    """Notify systemd of readiness, feed its watchdog, and enforce the deadlines of connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            notify_systemd("READY=1")
            self._tasks = [
                asyncio.create_task(feed_watchdog()),
                asyncio.create_task(self._enforce_deadlines()),
            ]

    async def _enforce_deadlines(self) -> None:
        while True:
            await asyncio.sleep(DEADLINE_CHECK_SECONDS)
            now = asyncio.get_running_loop().time()
            for protocol in list(self.server_state.connections):
                if isinstance(protocol, OriginProtocol) and protocol.deadline < now:
                    protocol.on_deadline()


def create_server(app: App, host: str, port: int, tls: tuple[Path, Path] | None = None) -> OriginServer:
    """Create the server of `app`, over TLS with a certificate and its key; port 0 takes a free one."""
    certificate, key = tls or (None, None)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=OriginProtocol,
        ws="none",
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    return OriginServer(config)


def run(settings: OriginSettings) -> None:
    """Serve until SIGTERM."""
    host, _, port = settings.listen.rpartition(":")
    app: App = OriginApp(settings.directory, settings.max_age, settings.cache_control, settings.cache_tags)
    if settings.faults:
        app = Faults(app)
    tls = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls = settings.tls_certificate, settings.tls_key
    create_server(app, host.strip("[]"), int(port), tls).run()
