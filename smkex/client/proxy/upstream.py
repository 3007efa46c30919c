"""The far side of the proxy: sessions to the CDN, a pool of them for requests, and plain TCP where rules allow it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from smkex.client.connect import connect
from smkex.client.connection import Connection
from smkex.client.http.transport import SessionOpener, with_edge_cache
from smkex.client.options import ConnectOptions
from smkex.client.proxy.events import Observer, SessionEnded, SessionOpened, WentDirect
from smkex.client.proxy.rules import ProxyRoute
from smkex.http.connection import OpenStream
from smkex.http.pool import HttpPool
from smkex.http.stream import open_tcp

DIRECT_TIMEOUT = 10.0  # seconds for a plain TCP connection
SESSION_SLOT_TIMEOUT = 10.0  # seconds that a session waits for another one's end
IDLE_SESSION_TIMEOUT = 30.0  # seconds a session without a request is kept; the edge keeps it for 60


class TooManySessions(OSError):
    """The proxy's own session limit is reached."""

    hint = "--max-sessions allows more"


@dataclass(frozen=True, slots=True)
class Streams:
    """Both directions of something connected; `close` ends it in order, `abort` at once."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    abort: Callable[[], None]

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


class Upstream:
    """Opens sessions and connections for the proxy's programs. `options` are those of `connect`."""

    def __init__(self, options: ConnectOptions, on_event: Observer, sessions: int) -> None:
        self._options = with_edge_cache(options)
        self._emit = on_event
        self._session_slots = asyncio.Semaphore(sessions)
        self._opener = SessionOpener(self.open_session)
        opens: dict[ProxyRoute, OpenStream] = {ProxyRoute.SESSION: self._opener, ProxyRoute.DIRECT: open_tcp}
        self._pools = {
            route: HttpPool(
                connections=sessions, idle=sessions, keep=IDLE_SESSION_TIMEOUT, open_stream=open_stream
            )
            for route, open_stream in opens.items()
        }

    def pool(self, route: ProxyRoute) -> HttpPool:
        return self._pools[route]

    async def open_session(self, host: str, port: int) -> Connection:
        """Raises as `connect`, and `TooManySessions` if no slot becomes free in time."""
        try:
            async with asyncio.timeout(SESSION_SLOT_TIMEOUT):
                await self._session_slots.acquire()
        except TimeoutError:
            raise TooManySessions("the limit of open sessions is reached") from None
        try:
            connection = await connect(host, port=port, options=self._options)
        except BaseException:
            self._session_slots.release()
            raise
        self._emit(SessionOpened(host, connection.report()))

        def closed() -> None:
            self._session_slots.release()
            self._emit(SessionEnded(host, connection.report()))

        connection.when_closed(closed)
        return connection

    async def open_tunnel(self, route: ProxyRoute, host: str, port: int) -> Streams:
        """Raises as `connect`, or OSError."""
        if route is ProxyRoute.SESSION:
            connection = await self.open_session(host, port)
            return Streams(connection.reader, connection.writer, connection.session.abort)
        self._emit(WentDirect(host))
        async with asyncio.timeout(DIRECT_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
        return Streams(reader, writer, writer.transport.abort)

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()
        await self._opener.close()
