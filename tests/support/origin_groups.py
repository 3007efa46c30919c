"""Groups of real origin servers on loopback."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from scripted_server import Asked, ScriptedServer, answer

from edge.origins.origin_client import OriginClient
from edge.origins.origin_group import GroupMember, ServiceOrigins
from edge.origins.origin_state import OriginState
from edge.origins.selection import HashedUrl, WeightedTurns
from services.origins import Balancing, Origin, Retry

HOST = [("host", "www.example")]


@dataclass
class LiveOrigin:
    """An origin that answers with its name, or as the test sets, and can be killed and started again."""

    name: str
    status: str = "200 OK"
    silent: bool = False
    port: int = 0
    server: ScriptedServer = field(init=False)
    _listening: asyncio.Server | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = ScriptedServer(self._answer)

    @property
    def asked(self) -> list[Asked]:
        return self.server.asked

    async def _answer(self, asked: Asked) -> list[bytes]:
        if self.silent:
            await asyncio.Event().wait()
        return [answer(self.name, status=self.status)]

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.server.serve(reader, writer)

    def kill(self) -> None:
        """Refuse new connections and reset the open ones, as when the process dies."""
        if self._listening is not None:
            self._listening.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


def member_of(live: LiveOrigin, **fields: Any) -> GroupMember:
    described = {"name": live.name, "url": f"http://127.0.0.1:{live.port}", "response_timeout": 5.0}
    origin = Origin(**(described | fields))
    return GroupMember(origin, OriginClient(origin, "edge1"), OriginState(origin.ejection))


@asynccontextmanager
async def group_of(
    *names: str,
    balancing: Balancing = Balancing.WEIGHTED,
    retry: Retry | None = None,
    **fields: dict[str, Any],
) -> AsyncIterator[tuple[ServiceOrigins, dict[str, LiveOrigin]]]:
    """Start an origin for each name, and yield their group; `fields` are those of one origin's description."""
    lives = {name: LiveOrigin(name) for name in names}
    for live in lives.values():
        await live.start()
    members = [member_of(live, **fields.get(name, {})) for name, live in lives.items()]
    selection = HashedUrl() if balancing is Balancing.HASH_URL else WeightedTurns()
    origins = ServiceOrigins("shop", members, selection, retry or Retry())
    try:
        yield origins, lives
    finally:
        await origins.close()
        for live in lives.values():
            live.kill()


async def ask(
    origins: ServiceOrigins, target: str = "/", method: str = "GET", **options: Any
) -> tuple[int, str]:
    """Return the status and the body, which is the name of the origin."""
    async with origins.request(method, target.encode(), HOST, **options) as found:
        return found.status, b"".join([part async for part in found.parts]).decode()
