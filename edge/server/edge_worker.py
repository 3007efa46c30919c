"""One worker of the edge: application, listeners, HTTPS and drain.

The single process of `sennit edge` is one worker, and with `--workers N` each worker process is one: both are assembled
here.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from edge.config.identity import load_identity
from edge.config.settings import EdgeSettings
from edge.ingress.handover import Handover
from edge.ingress.https import HttpsListener, https_context
from edge.ingress.listener import Listener
from edge.ingress.listening_sockets import ListeningSockets
from edge.server.application import Application, run_application
from edge.server.draining import follow_admin_state
from edge.services.admission.rate_table import RateTable
from edge.telemetry.access_log.open_log import open_access_log
from edge.telemetry.session_figures import SessionFigures
from edge.telemetry.telemetry import Telemetry
from edge.telemetry.traces.span_export import SpanExport
from node.state.identity import NodeIdentity
from smkex.http.server.http_server import HttpServer
from smkex.server.handshake.path_manager.client import PathManagerClient
from smkex.server.identity import Identity

log = logging.getLogger("edge.server.edge_worker")

FINISH_INTERVAL = 0.2  # seconds between looks whether the sessions have ended


class EdgeWorker:
    """The parts of one worker; `run_worker` makes it and stops it."""

    def __init__(
        self,
        identity: Identity,
        listener: Listener,
        https: HttpsListener | None,
        application: Application,
        sockets: ListeningSockets,
        telemetry: Telemetry,
    ) -> None:
        self._telemetry = telemetry
        self._identity = identity
        self._listener = listener
        self._https = https
        self._application = application
        self._server = application.server
        self._sockets = sockets

    async def start_accepting(self) -> None:
        await self._listener.start(self._sockets.sessions)
        if self._https is not None:
            for listening in self._sockets.https:
                self._https.start(listening)

    async def finish_sessions(self, timeout: float) -> None:
        """Stop accepting, and wait until every session has ended after its response, `timeout` seconds at most."""
        await self._listener.stop_accepting()
        if self._https is not None:
            await self._https.stop()
        log.info("finishing: %d sessions are left", len(self._listener.registry))
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        while loop.time() < until and not (self._listener.is_idle and not self._server.connections):
            self._server.finish_connections()  # repeated: handshakes that had begun still establish sessions
            await asyncio.sleep(FINISH_INTERVAL)

    async def stop(self) -> None:
        await self._listener.stop()
        if self._https is not None:
            await self._https.stop()

    def facts(self) -> dict[str, Any]:
        """Return what the health endpoint and the metrics publish of this worker."""
        registry = self._listener.registry
        return {
            "reasons": self._identity.reasons,
            "draining": self._listener.draining,
            "sessions": len(registry),
            "sessions_at_service_port": registry.sessions_at_service_port,
            "handshakes": len(self._listener.handshakes),
            "failures": dict(self._listener.failures),
            **self._application.facts(),
            **self._telemetry.facts(),
        }

    def reopen_log(self) -> None:
        """Open the access log's file again, as after its rotation."""
        self._telemetry.reopen_log()


def _open_traces(settings: EdgeSettings, node: NodeIdentity) -> SpanExport | None:
    if settings.traces is None:
        return None
    from edge.telemetry.traces.spans import open_export

    return open_export(settings.traces, node.name, version("sennit"), settings.traces_sample)


@asynccontextmanager
async def run_telemetry(settings: EdgeSettings, node: NodeIdentity) -> AsyncIterator[Telemetry]:
    """Record requests within the context. Raises OSError for an access log that cannot be opened."""
    telemetry = Telemetry(node.edge_id, open_access_log(settings), _open_traces(settings, node))
    try:
        yield telemetry
    finally:
        await telemetry.close()


@asynccontextmanager
async def run_worker(
    settings: EdgeSettings,
    node: NodeIdentity,
    sockets: ListeningSockets,
    path_manager: socket.socket | None,
    rates: RateTable,
    handover: Handover | None = None,
) -> AsyncIterator[EdgeWorker]:
    """Run one worker; it accepts from `start_accepting` on.

    Without the path manager's channel it serves transport tcp only. Raises `IdentityUnusable`, `ApplicationUnusable`,
    OSError.
    """
    identity = load_identity(settings, node)
    manager = PathManagerClient(path_manager) if path_manager is not None else None
    async with (
        run_telemetry(settings, node) as telemetry,
        run_application(settings, f"{node.name}.sennit", telemetry, rates) as application,
    ):
        server = application.server
        https = _make_https(server, settings) if sockets.https else None
        listener = Listener(
            node,
            identity,
            settings,
            server,
            manager,
            handover,
            streams=application.streams,
            figures=SessionFigures(telemetry.figures, application.service_of, telemetry.traces, node.edge_id),
        )
        worker = EdgeWorker(identity, listener, https, application, sockets, telemetry)
        drain = asyncio.create_task(follow_admin_state(settings.state, listener))
        try:
            yield worker
        finally:
            drain.cancel()
            await asyncio.gather(drain, return_exceptions=True)
            await worker.stop()
    if manager is not None:
        manager.close()


def _make_https(server: HttpServer, settings: EdgeSettings) -> HttpsListener:
    if settings.tls_certificate is None or settings.tls_key is None:
        raise ValueError("HTTPS needs tls_certificate and tls_key: EdgeSettings refuses it without")
    return HttpsListener(server, https_context(settings.tls_certificate, settings.tls_key), settings)
