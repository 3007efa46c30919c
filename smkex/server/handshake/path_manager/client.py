"""The edge's side of the path manager's channel."""

import asyncio
import errno
import os
import socket

from smkex.server.handshake.path_manager.errors import PathManagerGone
from smkex.server.handshake.path_manager.messages import RESPONSE_SIZE, Operation, Request, Response
from smkex.transport.mptcp.errors import MissingSubflow, NotPermitted
from smkex.transport.mptcp.info import FourTuple
from smkex.transport.mptcp.subflow_diag import SubflowState


class PathManagerClient:
    """Requests to the path manager process; belongs to one event loop.

    `connection_steering` makes the `Steering` of one connection. Every request carries the connection's socket: the
    process acts only on connections that its client holds.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._sequence = 0
        self._waiting: dict[int, asyncio.Future[Response]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        channel.setblocking(False)

    def connection_steering(self, connection: socket.socket) -> "ConnectionSteering":
        return ConnectionSteering(self, connection)

    async def request(
        self, connection: socket.socket, operation: Operation, addresses: FourTuple, backup: bool = False
    ) -> SubflowState:
        """Run one operation. Raises NotPermitted, MissingSubflow, `PathManagerGone`."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._channel.fileno(), self._read_responses)
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        sequence = self._sequence
        future: asyncio.Future[Response] = self._loop.create_future()
        self._waiting[sequence] = future
        try:
            await self._send(Request(sequence, operation, addresses, backup).encode(), connection)
            response = await future
        finally:
            self._waiting.pop(sequence, None)
        if response.error in (errno.EPERM, errno.EACCES):
            raise NotPermitted(f"the path manager refused {operation.name} for {addresses}")
        if response.error:
            reason = os.strerror(response.error)
            raise MissingSubflow(f"the kernel refused {operation.name} for {addresses}: {reason}")
        return response.state

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        self._fail_waiting()

    async def _send(self, request: bytes, connection: socket.socket) -> None:
        descriptor = connection.fileno()
        if descriptor < 0:
            raise MissingSubflow("the connection is closed")
        while True:
            try:
                socket.send_fds(self._channel, [request], [descriptor])
                return
            except BlockingIOError:
                await asyncio.sleep(0.001)
            except OSError as error:
                raise PathManagerGone(f"cannot send to the path manager: {error}") from error

    def _read_responses(self) -> None:
        while True:
            try:
                raw = self._channel.recv(RESPONSE_SIZE)
            except BlockingIOError:
                return
            except OSError:
                raw = b""
            try:
                response = Response.decode(raw)
            except ValueError:  # the channel ended
                if self._loop is not None:
                    self._loop.remove_reader(self._channel.fileno())
                self._fail_waiting()
                return
            future = self._waiting.get(response.sequence)
            if future is not None and not future.done():
                future.set_result(response)

    def _fail_waiting(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(PathManagerGone("the path manager has ended"))


class ConnectionSteering:
    """`Steering` of one connection by the path manager, and `announce`."""

    def __init__(self, client: PathManagerClient, connection: socket.socket) -> None:
        self._client = client
        self._connection = connection

    async def announce(self, address: str, port: int) -> None:
        """Send ADD_ADDR of an address on this connection; port 0 is left out.

        Raises MissingSubflow where there is no such connection.
        """
        await self._client.request(self._connection, Operation.ANNOUNCE, FourTuple(address, port, address, 0))

    async def set_backup(self, token: int, addresses: FourTuple, backup: bool) -> None:
        """Mark a subflow as backup or not; the process takes the token from the socket itself."""
        await self._client.request(self._connection, Operation.SET_BACKUP, addresses, backup)

    async def inspect(self, addresses: FourTuple) -> SubflowState:
        return await self._client.request(self._connection, Operation.INSPECT, addresses)
