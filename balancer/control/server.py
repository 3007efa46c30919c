"""Serve the application with uvicorn: TLS, readiness, a shutdown that does not wait for long polls."""

import asyncio
import functools
import logging
import signal
import socket
import ssl
from datetime import timedelta
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from balancer.control.app import create_app
from balancer.control.garbage import collect_rarely
from balancer.control.http.connection import BoundedConnection
from balancer.control.http.tls_handshakes import TlsConnection, TlsHandshakes
from balancer.control.rules import ControlRules
from balancer.control.settings import ControlSettings
from balancer.control.unusable_state import StateUnusable, explain_failure
from runtime.logging import report_ready
from runtime.systemd import feed_watchdog

log = logging.getLogger(__name__)


class StartGuard:
    """Keeps why the application did not start, where an operator can mend it: uvicorn would log a traceback."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self.failure: StateUnusable | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return
        failed: Message | None = None

        async def hold_failure(message: Message) -> None:
            nonlocal failed
            if message["type"] == "lifespan.startup.failed":
                failed = message
            else:
                await send(message)

        try:
            await self._application(scope, receive, hold_failure)
        except BaseException as error:
            if failed is not None:
                self.failure = explain_failure(error)
                await send({**failed, "message": ""} if self.failure else failed)
            raise


class _Server(uvicorn.Server):
    """Report readiness, and end long polls at shutdown."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._watchdog: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            collect_rarely()
            report_ready()
            self._watchdog = asyncio.create_task(feed_watchdog())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._watchdog:
            self._watchdog.cancel()
        if plane := getattr(self._app.state, "plane", None):
            plane.watch.close()
        await super().shutdown(sockets)


def serve(settings: ControlSettings) -> int:
    """Serve until SIGTERM; returns the exit status. Raises `StateUnusable`."""
    rules = ControlRules(
        settings.lease_seconds,
        timedelta(seconds=settings.quarantine_seconds),
        settings.minimum_healthy,
        settings.encapsulation,
        tunnel_prefixes=settings.tunnel_networks,
        audit_retention=timedelta(days=settings.audit_days),
    )
    app = create_app(settings.state, settings.admin_token(), rules, database=settings.database)
    guard = StartGuard(app)
    config = uvicorn.Config(
        guard,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # there is no trusted proxy
        timeout_keep_alive=75,  # longer than the interval of heartbeats: a new connection costs more than one
        timeout_graceful_shutdown=3,
        limit_concurrency=50_000,  # an agent has two connections; the unit's LimitNOFILE is 65,536
        http=protocol_of(settings),
        ws="none",
    )
    try:
        sockets = [_open_listener(*endpoint) for endpoint in settings.endpoints]
    except OSError as error:
        log.error("cannot listen on %s: %s", settings.listen, error.strerror)
        return 1
    server = _Server(config, app)
    # uvicorn shuts down and then raises the signal again: ignore it, so that the exit status is 0
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run(sockets=sockets)
    except SystemExit:  # uvicorn's, after a start that failed
        if guard.failure is None:
            raise
    if guard.failure is not None:
        raise guard.failure
    return 0 if server.started else 1


def _open_listener(host: str, port: int) -> socket.socket:
    """Bind one address; over IPv6 alone, also of `::`, so that no client's IPv4 address looks like another's /64."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def protocol_of(settings: ControlSettings) -> Any:
    """Return the protocol class that uvicorn uses for a connection."""
    if settings.tls_certificate is None:
        return BoundedConnection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return functools.partial(TlsConnection, TlsHandshakes(context), BoundedConnection)
