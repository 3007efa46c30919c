"""HTTP server: serve one ASGI application on any number of sessions."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from email.utils import formatdate
from itertools import islice
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from smkex.http.server.http1 import Http1Protocol, RequestLimits
from smkex.http.server.rejection import RecordRejection
from smkex.http.server.server_connection import ConnectionOptions, ServerConnection

KEEP_ALIVE_SECONDS = 60  # seconds that an idle session is kept
DEADLINE_CHECK_SECONDS = 1.0  # seconds between checks of deadlines and updates of Date
RELEASED_AT_ONCE = 1024  # idle connections whose general protocol is released in one check: some milliseconds

OpenConnection = Callable[[Any], Any]
FastPathAnswer = Callable[
    [bytes, Any], list[bytes] | None
]  # from bytes and connection to the complete response


class HttpServer:
    """An ASGI application for any number of sessions.

    With `date` every response gets a Date; a caching application writes its own. `fast_path` is called first with the
    bytes that arrive on an idle session, and returns the complete response in pieces, or None. `open_connection` is
    called with the transport of each session, at its first request; what it returns goes to the fast path, and to the
    application as an extension. `record_rejection` is called for each request that the server itself refuses.
    """

    def __init__(
        self,
        app: Any,
        *,
        date: bool = True,
        limits: RequestLimits | None = None,
        fast_path: FastPathAnswer | None = None,
        open_connection: OpenConnection | None = None,
        record_rejection: RecordRejection | None = None,
    ) -> None:
        self._open_connection = open_connection
        self._fast_path = fast_path
        self._options: ConnectionOptions | None = None
        self._record_rejection = record_rejection
        self._limits = limits or RequestLimits()
        self._date = date
        self._config = uvicorn.Config(
            app,
            lifespan="auto",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            ws="none",
            proxy_headers=False,  # or X-Forwarded-For of a local client would replace its address
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            limit_concurrency=None,
        )
        self._config.load()
        self._lifespan = self._config.lifespan_class(self._config)
        self._state = ServerState()
        self._clock: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        return len(self._options.connections) if self._options is not None else 0

    async def start(self) -> bool:
        """Start the application (ASGI lifespan); False if startup fails."""
        await self._lifespan.startup()
        self._tick()
        self._clock = asyncio.create_task(self._keep_time())
        return not self._lifespan.should_exit

    def finish_connections(self) -> None:
        """Close idle connections now and the others after the response in progress."""
        if self._options is not None:
            for connection in list(self._options.connections):
                connection.shutdown()

    async def stop(self, timeout: float = 5.0) -> None:
        """Wait up to `timeout` seconds for running requests, then stop the application."""
        self.finish_connections()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._state.tasks:
                    await asyncio.wait(self._state.tasks)
        if self._clock is not None:
            self._clock.cancel()
        await self._lifespan.shutdown()

    def create_protocol(self, lost: Callable[[], object] | None = None) -> asyncio.Protocol:
        """Create the protocol of a new session; it calls `lost` when the connection ends."""
        if self._options is None:
            self._options = ConnectionOptions(
                self._create_general,
                self._fast_path,
                self._open_connection,
                time.monotonic,
                self._limits.idle,
                self._limits.write_wait,
            )
        # it has the methods of a protocol; a compiled class cannot be derived from asyncio's
        return cast(asyncio.Protocol, ServerConnection(self._options, lost))

    def _create_general(self, connection: object) -> Http1Protocol:
        return Http1Protocol(
            limits=self._limits,
            connection=connection,
            record_rejection=self._record_rejection,
            config=self._config,
            server_state=self._state,
            app_state=self._lifespan.state,
        )

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(DEADLINE_CHECK_SECONDS)
            self._tick()

    def _tick(self) -> None:
        if self._date:
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        if self._options is None:
            return
        now = asyncio.get_running_loop().time()
        connections = list(self._options.connections)
        for connection in connections:
            connection.check(now)
        for connection in islice((one for one in connections if one.has_general), RELEASED_AT_ONCE):
            connection.release_general(now)
