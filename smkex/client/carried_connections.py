"""TCP connections of programs on this host, each carried in a session of its own."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smkex.client.bounded_sessions import BoundedSessions
from smkex.client.events import Failed, Observer
from smkex.client.explain import explain_error
from smkex.transport.forwarding import ForwardingProtocol
from smkex.transport.relay import IDLE_TIMEOUT, Streams, copy_both_ways

READ_LIMIT = 256 << 10


@dataclass(frozen=True, slots=True)
class SessionTarget:
    """Where a program's connection goes: the host and service port of `connect`."""

    host: str
    port: int


# which target a program's connection was made for; raises OSError where it cannot be known
FindTarget = Callable[[socket.socket], Awaitable[SessionTarget]]


Accepted = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


async def accept_connections(sock: socket.socket, accepted: Accepted) -> asyncio.Server:
    """Accept at a bound socket, as `asyncio.start_server`, with readers that can forward without a copy."""

    def make_protocol() -> asyncio.StreamReaderProtocol:
        return ForwardingProtocol(READ_LIMIT, accepted)

    return await asyncio.get_running_loop().create_server(make_protocol, sock=sock)


class CarriedConnections:
    """What cannot be carried is reset: it never goes any other way.

    `connections` bounds what programs hold; `idle` is in seconds of silence in both directions.
    """

    def __init__(
        self,
        sessions: BoundedSessions,
        on_event: Observer,
        *,
        connections: int = 256,
        idle: float = IDLE_TIMEOUT,
    ) -> None:
        self._sessions, self._emit = sessions, on_event
        self._limit, self._idle = connections, idle
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, find_target: FindTarget
    ) -> None:
        """Carry a connection, or refuse it beyond the limit."""
        near = Streams.of_tcp(reader, writer)
        if len(self._tasks) >= self._limit:
            self._emit(Failed("", "TooManyConnections", "connection refused: too many connections", ""))
            near.abort()
            return
        task = asyncio.create_task(self._carry(near, find_target))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Break off what runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_idle(self) -> None:
        """Wait until no program's connection is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _carry(self, near: Streams, find_target: FindTarget) -> None:
        host = ""
        opened = False
        try:
            target = await find_target(near.writer.get_extra_info("socket"))
            host = target.host
            connection = await self._sessions.open_session(target.host, target.port)
            opened = True
            far = Streams(connection.reader, connection.writer, connection.session.abort)
            await copy_both_ways(near, far, idle=self._idle)
            with contextlib.suppress(OSError):
                await near.close()
        except Exception as error:
            near.abort()
            if opened and _is_disconnect(error):
                return  # one side disconnected, and with it the other
            found = explain_error(error)
            self._emit(Failed(host, found.name, found.text, found.hint))
        except BaseException:
            near.abort()
            raise


def _is_disconnect(error: Exception) -> bool:
    """Return whether an end of a connection went away; where it was closed, its other direction cannot be ended."""
    return isinstance(error, ConnectionError) or (
        isinstance(error, OSError) and error.errno == errno.ENOTCONN
    )
