"""HTTP/1.1 inside sessions: uvicorn's protocol over any connected asyncio transport."""

import asyncio
import contextlib
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

KEEP_ALIVE = 60  # seconds an idle session is kept
TICK = 1.0  # seconds between renewals of the Date header


class HttpServer:
    """An ASGI application for any number of sessions."""

    def __init__(self, app: Any) -> None:
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=True,
            timeout_keep_alive=KEEP_ALIVE,
            limit_concurrency=None,
        )
        self._config.load()
        self._state = ServerState()
        self._clock: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._clock = asyncio.create_task(self._keep_time())
        await asyncio.sleep(0)

    async def stop(self, timeout: float = 5.0) -> None:
        """Let running requests end, within `timeout` seconds."""
        for protocol in list(self._state.connections):
            protocol.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._state.tasks:
                    await asyncio.wait(self._state.tasks)
        if self._clock is not None:
            self._clock.cancel()

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one new session."""
        made: asyncio.Protocol = HttpToolsProtocol(
            config=self._config, server_state=self._state, app_state={}
        )
        return made

    async def _keep_time(self) -> None:
        from email.utils import formatdate

        while True:
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            await asyncio.sleep(TICK)
