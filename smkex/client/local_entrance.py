"""Local entrance: TCP connections of programs on this host, each carried in a session of its own."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smkex.client.bounded_sessions import BoundedSessions
from smkex.client.events import Failed, Observer
from smkex.client.explain import explain_error
from smkex.transport.relay import IDLE_TIMEOUT, Streams, copy_both_ways

READ_LIMIT = 256 << 10


@dataclass(frozen=True, slots=True)
class SessionTarget:
    """Where a program's connection goes: the host and service port of `connect`."""

    host: str
    port: int


# which target a program's connection was made for; raises OSError where it cannot be known
FindTarget = Callable[[socket.socket], Awaitable[SessionTarget]]


class LocalEntrance:
    """Serves between `start` and `stop`. What cannot be carried is reset: it never goes any other way.

    `connections` bounds what programs hold; `idle` is in seconds of silence in both directions.
    """

    def __init__(
        self,
        find_target: FindTarget,
        sessions: BoundedSessions,
        on_event: Observer,
        *,
        connections: int = 256,
        idle: float = IDLE_TIMEOUT,
    ) -> None:
        self._find_target, self._sessions, self._emit = find_target, sessions, on_event
        self._limit, self._idle = connections, idle
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    async def listen_on(self, sock: socket.socket) -> None:
        """Accept at a bound socket."""
        self._servers.append(await asyncio.start_server(self._accepted, sock=sock, limit=READ_LIMIT))

    async def stop(self) -> None:
        """Stop listening, and break off what runs."""
        for server in self._servers:
            server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._tasks)

    async def wait_idle(self) -> None:
        """Wait until no program's connection is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near = Streams.of_tcp(reader, writer)
        if len(self._tasks) >= self._limit:
            self._emit(Failed("", "TooManyConnections", "connection refused: too many connections", ""))
            near.abort()
            return
        task = asyncio.create_task(self._carry(near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, near: Streams) -> None:
        host = ""
        try:
            target = await self._find_target(near.writer.get_extra_info("socket"))
            host = target.host
            connection = await self._sessions.open_session(target.host, target.port)
            far = Streams(connection.reader, connection.writer, connection.session.abort)
            await copy_both_ways(near, far, idle=self._idle)
            with contextlib.suppress(OSError):
                await near.close()
        except ConnectionError:
            near.abort()  # one side disconnected, and with it the other
        except Exception as error:
            near.abort()
            found = explain_error(error)
            self._emit(Failed(host, found.name, found.text, found.hint))
        except BaseException:
            near.abort()
            raise
