"""The way from a session to a TCP socket without a task's turn, a stream's buffer or a copy for each record.

asyncio's transport sends each record by itself, and before Python 3.12 copies what the socket does not take. Here the
records of one read of the session leave by one system call, and wait by reference.
"""

import asyncio
from collections.abc import Callable

from smkex.transport.counting_reader import CountingReader
from smkex.transport.driver import SessionDriver
from smkex.transport.event_loop import ReactorLoop
from smkex.transport.flow import RECEIVE_BUFFER, Flow


class DirectWriter:
    """Writes what a session delivers to the socket of an asyncio transport, which has nothing of its own to write."""

    def __init__(
        self, reader: CountingReader, session: SessionDriver, transport: asyncio.WriteTransport
    ) -> None:
        self._reader, self._session = reader, session
        # a descriptor of its own: the transport's is watched for what arrives
        self._flow = Flow(transport.get_extra_info("socket").dup(), ())
        self._flow.owner = self
        self._flow.pause_reading()
        self._flow.send_buffer = RECEIVE_BUFFER
        self._on_data: Callable[[], None] = lambda: None
        self._flushed: asyncio.Future[None] | None = None

    @classmethod
    def find(
        cls, reader: asyncio.StreamReader, source: asyncio.StreamWriter, sink: asyncio.StreamWriter
    ) -> "DirectWriter | None":
        """Return the way from the session of `reader` and `source` to `sink`; None where there is none.

        Raises OSError without a descriptor for it.
        """
        session: object = source.transport
        transport = sink.transport
        if not (isinstance(reader, CountingReader) and isinstance(session, SessionDriver)):
            return None
        is_plain = transport.get_extra_info("socket") and not transport.get_extra_info("sslcontext")
        if not is_plain or transport.is_closing() or transport.get_write_buffer_size():
            return None
        if not isinstance(asyncio.get_running_loop(), ReactorLoop):
            return None  # there the poller is asyncio's, and costs what its transports cost
        return cls(reader, session, transport)

    async def forward(self, on_data: Callable[[], None]) -> None:
        """Write all that arrives until the end, and call `on_data` each time; return when the socket has it.

        Reading pauses while the socket takes nothing. Raises the error of either side.
        """
        self._on_data = on_data
        try:
            await self._reader.pass_on(self._take)
            await self._flush()
        finally:
            self._flow.release().close()

    # --- as the flow's owner

    def flow_received(self, flow: Flow, data: bytes | memoryview, now: float) -> None:
        """Nothing is read here."""

    def flow_writable(self, flow: Flow) -> None:
        if self._flushed is None:
            self._session.resume_reading()
        elif not self._flushed.done():
            self._flushed.set_result(None)

    def flow_lost(self, flow: Flow, error: Exception | None) -> None:
        found = error or ConnectionResetError("the connection was closed")
        if self._flushed is None:
            self._reader.set_exception(found)
        elif not self._flushed.done():
            self._flushed.set_exception(found)

    # --- inside

    def _take(self, data: bytes) -> None:
        flow = self._flow
        was_writable = flow.writable
        flow.write(data)
        self._on_data()
        if was_writable and not flow.writable:
            self._session.pause_reading()

    async def _flush(self) -> None:
        """Wait until the socket has taken all."""
        flow = self._flow
        flow.flush()
        if flow.error is not None:
            raise flow.error
        if flow.unsent:
            self._flushed = asyncio.get_running_loop().create_future()
            flow.send_buffer, flow.writable = 0, False  # it says when nothing is left
            await self._flushed
