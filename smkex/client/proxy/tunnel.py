"""Copy bytes both ways between a program and its target, until both directions have ended."""

import asyncio
import socket
import struct

from smkex.client.proxy.upstream import Streams

BLOCK = 256 << 10
IDLE_TIMEOUT = 300.0  # seconds without a byte in either direction
_TLS_HANDSHAKE = b"\x16"
_TLS_ALERT = bytes([21, 3, 3, 0, 2, 2, 49])  # fatal, access_denied: the program says "TLS" and no more


class TlsInside(Exception):
    """The program started TLS in a session, where no TLS server answers."""

    hint = "use http://: the session is the protection"


async def copy_both_ways(near: Streams, far: Streams, *, plain: bool, idle: float = IDLE_TIMEOUT) -> None:
    """Copy until both have ended, `plain` without TLS from the program.

    An error on one side aborts the other, so that a truncated stream does not look complete. Raises the error
    of the far side, `TlsInside`, or TimeoutError after `idle` seconds of silence.
    """
    loop = asyncio.get_running_loop()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, plain: bool) -> None:
        while data := await reader.read(BLOCK):
            if plain and data.startswith(_TLS_HANDSHAKE):
                near.writer.write(_TLS_ALERT)
                await near.close()
                raise TlsInside("https inside a session")
            plain = False
            limit.reschedule(loop.time() + idle)
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    whole = False
    try:
        async with asyncio.timeout(idle) as limit, asyncio.TaskGroup() as both:
            both.create_task(copy(near.reader, far.writer, plain=plain))
            both.create_task(copy(far.reader, near.writer, plain=False))
        whole = True
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        if not whole:
            near.abort()
            far.abort()
    await far.close()


def reset_connection(writer: asyncio.StreamWriter) -> None:
    """Close a TCP connection so that the program sees an error, not an end (RST)."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
