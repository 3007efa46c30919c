"""Run the origin application under uvicorn."""

import asyncio
import socket

import uvicorn

from origin.app import OriginApp
from origin.faults import App, Faults
from origin.settings import OriginSettings
from runtime.systemd import feed_watchdog, notify_systemd


class _Server(uvicorn.Server):
    """Notify systemd of readiness and feed its watchdog."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            notify_systemd("READY=1")
            self._watchdog = asyncio.create_task(feed_watchdog())


def run(settings: OriginSettings) -> None:
    """Serve until SIGTERM."""
    host, _, port = settings.listen.rpartition(":")
    app: App = OriginApp(settings.directory, settings.max_age, settings.cache_control, settings.cache_tags)
    if settings.faults:
        app = Faults(app)
    config = uvicorn.Config(
        app,
        host=host.strip("[]"),
        port=int(port),
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
    )
    _Server(config).run()
