"""A stream reader that passes on what arrives from where it was received, so that nothing is held or copied.

All connections of a thread receive into one buffer: it stays in the processor's cache, and no memory is allocated.
"""

import asyncio
from collections.abc import Callable

from smkex.transport.counting_reader import CountingReader
from smkex.transport.driver import SessionDriver
from smkex.transport.flow import receive_buffer

# unsealed bytes of a sink at which reading pauses: what waits is copied, and leaves the processor's cache
SINK_LIMIT = 64 << 10


class ForwardingReader(CountingReader):
    """As `CountingReader`; while `forward` runs, what arrives is written to its sink."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._sink: asyncio.StreamWriter | None = None
        self._on_data: Callable[[], None] = lambda: None

    async def forward(self, sink: asyncio.StreamWriter, on_data: Callable[[], None]) -> None:
        """Write all that arrives to `sink` until the end, and call `on_data` each time.

        `sink` is one that `can_forward_to` allows. Reading pauses while it asks for a pause. Raises the error of either
        side.
        """
        self._on_data = on_data
        sink.transport.set_write_buffer_limits(SINK_LIMIT)
        while not self.at_eof():
            while self._held:
                sink.write(await self.read(self._limit))
                await sink.drain()
            if self._exception is not None:
                raise self._exception
            if self._eof:
                break
            self._sink = sink
            try:
                await self._wait_for_data("forward")
            finally:
                self._sink = None
            await sink.drain()

    def feed_view(self, data: memoryview) -> None:
        """Take what has been received into a buffer that is used again after this call."""
        sink = self._sink
        if sink is None:
            self.feed_data(data)
            return
        self.received += len(data)
        sink.write(data)
        self._on_data()
        transport = sink.transport
        if (
            transport.is_closing()
            or transport.get_write_buffer_size() > transport.get_write_buffer_limits()[1]
        ):
            self._sink = None
            self._paused = True
            self._transport.pause_reading()
            self._wakeup_waiter()


class ForwardingProtocol(asyncio.StreamReaderProtocol, asyncio.BufferedProtocol):
    """The protocol of an accepted connection with a `ForwardingReader`."""

    def __init__(
        self, limit: int, accepted: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
    ) -> None:
        self._receiver = ForwardingReader(limit)
        self._buffer = receive_buffer()
        super().__init__(self._receiver, accepted)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._receiver.feed_view(self._buffer[:nbytes])


def can_forward_to(sink: asyncio.StreamWriter) -> bool:
    """Whether `sink` copies what it does not send at once: asyncio's transports from Python 3.12 do not."""
    transport: object = sink.transport
    return isinstance(transport, SessionDriver)
