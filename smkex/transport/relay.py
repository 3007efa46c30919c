"""Copy bytes both ways between two streams, until both directions have ended."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smkex.transport.direct_writer import DirectWriter
from smkex.transport.forwarding import ForwardingReader, can_forward_to

BLOCK = 256 << 10
IDLE_TIMEOUT = 300.0  # seconds without a byte in either direction

IDLE_STEPS = (
    64  # the time-out is set anew no oftener than that: for each block it would cost as much as the block
)

OnCopied = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Streams:
    """Both directions of something connected; `close` ends it in order, `abort` at once."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    abort: Callable[[], None]

    @classmethod
    def of_tcp(cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "Streams":
        """The streams of a TCP connection, whose abort the other end sees as an error."""
        return cls(reader, writer, lambda: reset_connection(writer))

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def copy_both_ways(
    near: Streams,
    far: Streams,
    *,
    idle: float = IDLE_TIMEOUT,
    check_first: Callable[[bytes], Awaitable[None]] | None = None,
    on_near: OnCopied | None = None,
    on_far: OnCopied | None = None,
) -> None:
    """Copy until both have ended; `check_first` sees the near side's first bytes, and may raise.

    `on_near` and `on_far` are awaited with the size of what came from either side, after it was passed on. Each
    direction ends by itself. An error on one side aborts the other, so that a truncated stream does not look complete.
    Raises the error of either side or of `check_first`, or TimeoutError after `idle` seconds of silence, and up to a
    64th of them more.
    """
    loop = asyncio.get_running_loop()
    step = idle / IDLE_STEPS
    extended = loop.time()

    def note_activity() -> None:
        nonlocal extended
        now = loop.time()
        if now - extended >= step:
            extended = now
            limit.reschedule(now + idle + step)

    async def copy(
        source: Streams,
        sink: Streams,
        on_copied: OnCopied | None,
        check: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> None:
        reader = source.reader
        if isinstance(reader, ForwardingReader) and can_forward_to(sink.writer) and not (on_copied or check):
            await reader.forward(sink.writer, note_activity)
        direct = None if on_copied or check else DirectWriter.find(reader, source.writer, sink.writer)
        if direct is not None:
            await direct.forward(note_activity)
        while data := await reader.read(BLOCK):
            if check is not None:
                await check(data)
                check = None
            note_activity()
            sink.writer.write(data)
            await sink.writer.drain()
            if on_copied is not None:
                await on_copied(len(data))
        sink.writer.write_eof()

    whole = False
    try:
        async with asyncio.timeout(idle + step) as limit, asyncio.TaskGroup() as both:
            both.create_task(copy(near, far, on_near, check_first))
            both.create_task(copy(far, near, on_far))
        whole = True
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        if not whole:
            near.abort()
            far.abort()
    await far.close()


def reset_connection(writer: asyncio.StreamWriter) -> None:
    """Close a TCP connection so that its other end sees an error, not an end (RST)."""
    reset_transport(writer.transport)


def reset_transport(transport: asyncio.WriteTransport) -> None:
    """Abort a connection; over TCP its other end sees an error, not an end (RST)."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
