"""The far side of the proxy: sessions to the CDN, a pool of them for requests, and plain TCP where rules allow it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from smkex.client.connect import Connection, connect
from smkex.client.edge_cache import EdgeCache
from smkex.client.http.transport import SessionOpener
from smkex.client.options import ConnectOptions
from smkex.client.proxy.events import Observer, SessionEnded, SessionOpened, WentDirect
from smkex.client.proxy.rules import Way
from smkex.http.connection import Open
from smkex.http.pool import HttpPool
from smkex.http.stream import open_tcp

DIRECT_TIMEOUT = 10.0  # seconds for a plain TCP connection
ROOM_TIMEOUT = 10.0  # seconds that a session waits for another one's end
IDLE_SESSION = 30.0  # seconds a session without a request is kept; the edge keeps it for 60


class TooManySessions(OSError):
    """The proxy's own bound; says nothing of the CDN."""

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
    """Opens what the proxy's clients ask for. `options` are those of `connect`."""

    def __init__(self, options: ConnectOptions, tell: Observer, sessions: int) -> None:
        self._options: ConnectOptions = {"cache": EdgeCache(), **options}
        self._tell = tell
        self._room = asyncio.Semaphore(sessions)
        self._opener = SessionOpener(self.open_session)
        opens: dict[Way, Open] = {Way.SESSION: self._opener, Way.DIRECT: open_tcp}
        self._pools = {
            way: HttpPool(connections=sessions, idle=sessions, keep=IDLE_SESSION, open_stream=open_stream)
            for way, open_stream in opens.items()
        }

    def pool(self, way: Way) -> HttpPool:
        return self._pools[way]

    async def open_session(self, host: str, port: int) -> Connection:
        """Raises as `connect`, and `TooManySessions` when none of those open ends in time."""
        try:
            async with asyncio.timeout(ROOM_TIMEOUT):
                await self._room.acquire()
        except TimeoutError:
            raise TooManySessions("as many sessions are open as may be") from None
        try:
            connection = await connect(host, port=port, **self._options)
        except BaseException:
            self._room.release()
            raise
        self._tell(SessionOpened(host, connection.report()))

        def closed() -> None:
            self._room.release()
            self._tell(SessionEnded(host, connection.report()))

        connection.when_closed(closed)
        return connection

    async def open_tunnel(self, way: Way, host: str, port: int) -> Streams:
        """Raises as `connect`, or OSError."""
        if way is Way.SESSION:
            connection = await self.open_session(host, port)
            return Streams(connection.reader, connection.writer, connection.session.abort)
        self._tell(WentDirect(host))
        async with asyncio.timeout(DIRECT_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
        return Streams(reader, writer, writer.transport.abort)

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()
        await self._opener.close()
