"""The far side of the proxy: sessions to the CDN, a pool of them for requests, and plain TCP where rules allow it."""

import asyncio

from smkex.client.bounded_sessions import BoundedSessions
from smkex.client.connection import Connection
from smkex.client.events import Observer, WentDirect
from smkex.client.http.transport import SessionOpener, with_edge_cache
from smkex.client.options import ConnectOptions
from smkex.client.proxy.rules import ProxyRoute
from smkex.http.connection import OpenStream
from smkex.http.pool import HttpPool
from smkex.http.stream import open_tcp
from smkex.transport.relay import Streams

DIRECT_TIMEOUT = 10.0  # seconds for a plain TCP connection
IDLE_SESSION_TIMEOUT = 30.0  # seconds a session without a request is kept; the edge keeps it for 60


class Upstream:
    """Opens sessions and connections for the proxy's programs. `options` are those of `connect`."""

    def __init__(self, options: ConnectOptions, on_event: Observer, sessions: int) -> None:
        self._emit = on_event
        self.sessions = BoundedSessions(with_edge_cache(options), on_event, sessions)
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
        """Raises as `BoundedSessions.open_session`."""
        return await self.sessions.open_session(host, port)

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
