"""One connection's handshake frames, awaited one by one, until its flow becomes a path of a session."""

import asyncio
import socket
from typing import Any

from smkex.core.errors import SmkexError, Truncated
from smkex.core.wire.frame import HANDSHAKE_LIMIT, FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import encode_abort, parse_abort
from smkex.transport.flow import UNSENT_LIMIT, Flow, limit_unsent


class FrameChannel:
    """The owner of a flow during a handshake. Reading pauses when more than one frame waits."""

    def __init__(self, flow: Flow, reader: FrameReader | None = None) -> None:
        """`reader` has what was received before."""
        self.flow = flow
        self.reader = reader or FrameReader()
        self._waiting: asyncio.Future[None] | None = None
        flow.start(self)

    @classmethod
    def from_socket(cls, sock: socket.socket, peer: Any = None) -> "FrameChannel":
        """Make the channel of a connected socket that does not block; `peer`, its address, spares a system call.

        Raises OSError where the connection is gone already, and closes the socket.
        """
        try:
            flow = Flow(sock, peer)
            limit_unsent(sock, UNSENT_LIMIT)
            return cls(flow)
        except OSError:
            sock.close()
            raise

    # --- the flow's side

    def flow_received(self, flow: Flow, data: bytes | memoryview, now: float) -> None:
        self.reader.feed(data)
        if self.reader.pending > HANDSHAKE_LIMIT:
            flow.pause_reading()
        self._wake()

    def flow_writable(self, flow: Flow) -> None:
        """A handshake does not wait for room."""

    def flow_lost(self, flow: Flow, error: Exception | None) -> None:
        self._wake()

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
            raise parse_abort(frame)
        while (record := self.reader.next_tls_record()) is None:
            await self._wait_for_data()
        return record

    async def first_byte(self) -> int:
        """Wait for the first byte, and leave it where it is. Raises `Truncated`."""
        while (first := self.reader.first_byte) is None:
            await self._wait_for_data()
        return first

    async def _wait_for_data(self) -> None:
        if self.flow.lost:
            raise Truncated("the connection ended during the handshake")
        self.flow.resume_reading()
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def send(self, data: bytes) -> None:
        """Send now: a Finished must not wait for the session's first bytes, which leave on another path."""
        self.flow.write(data)
        self.flow.flush()

    def abort(self, error: SmkexError) -> None:
        """Send Abort in clear, and close."""
        self.flow.write(encode_abort(error.code))
        self.flow.close()
