"""Any number of sessions served by one ASGI application."""

import asyncio
import contextlib
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from edge.http.http1 import Hot, Http1, Limits

KEEP_ALIVE = 60  # seconds a session is kept after its last response
TICK = 1.0  # seconds between looks at deadlines, and renewals of the Date header


class HttpServer:
    """An ASGI application for any number of sessions.

    With `date` every response is given a Date; an application that caches writes its own. `hot` is asked first with
    what arrives while nothing else is going on, and gives the whole response or None.
    """

    def __init__(
        self, app: Any, *, date: bool = True, limits: Limits | None = None, hot: Hot | None = None
    ) -> None:
        self._hot = hot
        self._limits = limits or Limits()
        self._date = date
        self._config = uvicorn.Config(
            app,
            lifespan="auto",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE,
            limit_concurrency=None,
        )
        self._config.load()
        self._lifespan = self._config.lifespan_class(self._config)
        self._state = ServerState()
        self._clock: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        return len(self._state.connections)

    async def start(self) -> bool:
        """Start the application (ASGI's lifespan); False when it refuses."""
        await self._lifespan.startup()
        self._tick()
        self._clock = asyncio.create_task(self._keep_time())
        return not self._lifespan.should_exit

    def let_finish(self) -> None:
        """Close what is idle, and everything else after the response that is on its way."""
        for protocol in list(self._state.connections):
            protocol.shutdown()

    async def stop(self, timeout: float = 5.0) -> None:
        """Let running requests end, within `timeout` seconds."""
        self.let_finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._state.tasks:
                    await asyncio.wait(self._state.tasks)
        if self._clock is not None:
            self._clock.cancel()
        await self._lifespan.shutdown()

    def protocol(self, lost: Callable[[], object] | None = None) -> asyncio.Protocol:
        """A protocol for one new session, which calls `lost` when its connection is."""
        made: asyncio.Protocol = Http1(
            limits=self._limits,
            hot=self._hot,
            lost=lost,
            config=self._config,
            server_state=self._state,
            app_state=self._lifespan.state,
        )
        return made

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._tick()

    def _tick(self) -> None:
        if self._date:
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        now = asyncio.get_running_loop().time()
        for protocol in [one for one in self._state.connections if one.deadline < now]:
            protocol.overdue()
