"""Local entrance: where programs on this host connect, to be carried in sessions."""

import asyncio
import socket

from smkex.client.bounded_sessions import BoundedSessions
from smkex.client.carried_connections import CarriedConnections, FindTarget, accept_connections
from smkex.client.events import Observer
from smkex.transport.relay import IDLE_TIMEOUT


class LocalEntrance:
    """Accepts at each socket of `listen_on` until `stop`, within the limits of `CarriedConnections`."""

    def __init__(
        self,
        find_target: FindTarget,
        sessions: BoundedSessions,
        on_event: Observer,
        *,
        connections: int = 256,
        idle: float = IDLE_TIMEOUT,
    ) -> None:
        self._find_target = find_target
        self._carried = CarriedConnections(sessions, on_event, connections=connections, idle=idle)
        self._servers: list[asyncio.Server] = []

    def __len__(self) -> int:
        return len(self._carried)

    async def listen_on(self, sock: socket.socket) -> None:
        """Accept at a bound socket."""
        self._servers.append(await accept_connections(sock, self._accepted))

    async def stop(self) -> None:
        """Stop listening, and break off what runs."""
        for server in self._servers:
            server.close()
        await self._carried.stop()

    async def wait_idle(self) -> None:
        """Wait until no program's connection is left."""
        await self._carried.wait_idle()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._carried.accept(reader, writer, self._find_target)
