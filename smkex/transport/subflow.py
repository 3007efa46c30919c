"""One TCP connection as a subflow: frames one by one during the handshake, then bytes for its session."""

import asyncio
import errno
import socket
import threading
from collections.abc import Callable
from typing import Any, Protocol, cast

from smkex.core.errors import PeerAborted, SmkexError, Truncated
from smkex.core.session.path import NEAR_RTT
from smkex.core.wire.frame import HANDSHAKE_LIMIT, FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import encode_abort, parse_abort
from smkex.transport.socket_transport import SocketTransport

SEND_BUFFER = 64 << 10  # bytes a subflow queues in user space before it asks for a pause: a record
UNSENT_LIMIT = 128 << 10  # bytes in the kernel that were never sent: more would only make latency
UNSENT_LIMIT_FAR = 16 << 10  # the same where round trips take time: a path may be slow to start

RECEIVE_BUFFER = 256 << 10  # bytes taken from the kernel at once

TCP_NOTSENT_LOWAT = 25  # linux/tcp.h


class _ReceiveBuffers(threading.local):
    """Receive buffers shared by all subflows of a thread's event loop.

    Without it asyncio makes 256 KB for each read and gives most back, which costs more than the read itself.
    """

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(RECEIVE_BUFFER))
        self.first = self.buffer[:HANDSHAKE_LIMIT]  # until the handshake is done, what comes is held


_receive_buffers = _ReceiveBuffers()


class SubflowOwner(Protocol):
    """Receiver of a subflow's data after the handshake."""

    def subflow_received(self, path: int, data: bytes) -> None: ...
    def subflow_lost(self, path: int) -> None: ...
    def subflow_writable(self, path: int) -> None: ...


class Subflow(asyncio.BufferedProtocol):
    """An asyncio protocol around one connection.

    Before `attach`, `next_frame` gives one handshake frame at a time and reading pauses when more than one
    frame waits; after it, everything goes to the owner.
    """

    def __init__(self, accepted: Callable[["Subflow"], None] | None = None) -> None:
        self.reader = FrameReader()
        self._buffer = _receive_buffers.first
        self.transport: asyncio.Transport
        self.writable = True
        self.lost = False
        self.broken_by: Exception | None = None
        self._accepted = accepted
        self._owner: SubflowOwner | None = None
        self._path = -1
        self._waiting: asyncio.Future[None] | None = None

    @classmethod
    def from_socket(cls, sock: socket.socket, peer: Any = None) -> "Subflow":
        """A subflow over a connected socket that does not block; `peer` spares a system call.

        Raises OSError where the connection is gone already, and closes the socket.
        """
        subflow = cls()
        try:
            SocketTransport(sock, subflow, peer)
        except OSError:
            sock.close()
            raise
        return subflow

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self.transport.set_write_buffer_limits(high=SEND_BUFFER)
        self._limit_unsent(UNSENT_LIMIT)
        if self._accepted is not None:
            self._accepted(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        if self._owner is not None:
            self._owner.subflow_received(self._path, data)
            return
        self.reader.feed(data)
        if self.reader.pending > HANDSHAKE_LIMIT:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.broken_by = exc
        self._wake()
        if self._owner is not None:
            self._owner.subflow_lost(self._path)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if self._owner is not None:
            self._owner.subflow_writable(self._path)

    # --- the handshake's side

    async def next_frame(self) -> tuple[FrameType, bytes]:
        """Wait for one whole frame. Raises `MalformedMessage`, or `Truncated` when the connection ends first."""
        while (frame := self.reader.next_frame()) is None:
            await self._wait_for_data()
        return frame

    async def next_tls_record(self) -> bytes:
        """Wait for one whole TLS record (mode mtls). Raises as `next_frame`, or `PeerAborted` for an Abort instead."""
        if await self.first_byte() == FrameType.ABORT:
            _, frame = await self.next_frame()
            raise PeerAborted(parse_abort(frame), authenticated=False)
        while (record := self.reader.next_tls_record()) is None:
            await self._wait_for_data()
        return record

    async def first_byte(self) -> int:
        """Wait for the first byte, and leave it where it is. Raises `Truncated`."""
        while (first := self.reader.first_byte) is None:
            await self._wait_for_data()
        return first

    async def _wait_for_data(self) -> None:
        if self.lost:
            raise Truncated("the connection ended during the handshake")
        self.transport.resume_reading()
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def send(self, frame: bytes) -> None:
        if not self.lost:
            self.transport.write(frame)

    def abort(self, error: SmkexError) -> None:
        """Send Abort in clear, and close."""
        self.send(encode_abort(error.code))
        self.transport.close()

    def attach(self, owner: SubflowOwner, path: int) -> None:
        """Pass all further data to `owner`; it takes over what the reader holds."""
        self._owner, self._path = owner, path
        self._buffer = _receive_buffers.buffer
        if not self.lost and self.rtt() >= NEAR_RTT:
            # queued data delays anything more urgent, such as a retransmission
            self.transport.set_write_buffer_limits(high=0)
            self._limit_unsent(UNSENT_LIMIT_FAR)
        self.transport.resume_reading()

    def _limit_unsent(self, size: int) -> None:
        """Leave the kernel's default where it cannot: sockets of MPTCP have no such option on Debian 12 (Linux 6.1)."""
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, size)
        except OSError as error:
            if error.errno not in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
                raise

    # --- facts

    @property
    def socket(self) -> socket.socket:
        found: socket.socket = self.transport.get_extra_info("socket")
        return found

    def rtt(self) -> float:
        """Smoothed round-trip time in seconds, from the kernel's TCP_INFO."""
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return int.from_bytes(info[68:72], "little") / 1e6
