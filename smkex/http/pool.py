"""A pool of HTTP connections, by httpcore, whose connections are our own."""

import asyncio

import httpcore

from smkex.http.connection import HttpConnection, OpenStream
from smkex.http.stream import open_tcp


class HttpPool(httpcore.AsyncConnectionPool):
    """At most `connections`, of which `idle` are kept without a request, each for `keep` seconds."""

    def __init__(
        self,
        *,
        connections: int | None = None,
        idle: int | None = None,
        keep: float | None = None,
        open_stream: OpenStream = open_tcp,
    ) -> None:
        super().__init__(max_connections=connections, max_keepalive_connections=idle)
        self._open = open_stream
        self._keep = keep

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        return HttpConnection(origin, self._open, self._keep)

    async def aclose(self) -> None:
        await super().aclose()
        await asyncio.sleep(0)  # sockets are closed by then
