"""The byte stream below an HTTP connection: a session, or TCP with or without TLS."""

import asyncio
import select
import socket
import ssl
from functools import cache
from typing import Any

import httpcore
import httpx

from smkex.core.errors import SmkexError
from smkex.transport.counting_reader import CountingReader

READ_LIMIT = 64 << 10  # bytes that wait to be read before the sender is held back; three times that at most
HAPPY_EYEBALLS_DELAY = 0.25  # seconds that the first of several addresses is tried alone (RFC 8305)


class ByteStream:
    """Both directions, with httpcore's errors, and whether anything has arrived that was not read."""

    def __init__(self, reader: CountingReader, writer: asyncio.StreamWriter, *, descriptor: int = -1) -> None:
        """`descriptor` is that of the stream's socket, where it has one of its own."""
        self._reader = reader
        self._writer = writer
        self._descriptor = descriptor
        self._read = 0

    async def read(self, limit: int, timeout: float | None) -> bytes:
        """Return up to `limit` bytes, none at the end of the stream. What arrived before an error is read first."""
        if self._reader.exception() is not None and self._reader.received != self._read:
            data = self._reader.read_buffered(limit)
            self._read += len(data)
            return data
        try:
            if self._reader.received != self._read:
                data = await self._reader.read(limit)  # it has come: a timer would cost more than the read
            else:
                async with asyncio.timeout(timeout):
                    data = await self._reader.read(limit)
        except TimeoutError:
            raise httpcore.ReadTimeout("no data within the time allowed") from None
        except (SmkexError, OSError) as error:
            raise httpcore.ReadError(str(error)) from error
        self._read += len(data)
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError:
            raise httpcore.WriteTimeout("the peer accepts no data") from None
        except (SmkexError, OSError) as error:
            raise httpcore.WriteError(str(error)) from error

    @property
    def has_unread(self) -> bool:
        """Whether bytes, an end or an error wait to be read: no request may be sent then."""
        return (
            self._reader.received != self._read
            or self._reader.at_eof()
            or self._reader.exception() is not None
            or self._writer.is_closing()
            or _is_readable(self._descriptor)
        )

    def close(self) -> None:
        """Begin to close it. Never waits, so that no cancellation leaves it half closed."""
        self._writer.close()
        if self._descriptor >= 0:
            # what has not been written by then belongs to an exchange that has failed
            asyncio.get_running_loop().call_soon(self._writer.transport.abort)


async def open_tcp(origin: httpcore.Origin, timeout: float | None) -> ByteStream:
    """Connect to `origin`, over TLS where it is https. Raises httpcore's `ConnectError` and `ConnectTimeout`."""
    host = origin.host.decode("ascii")
    tls = verifying_context() if origin.scheme == b"https" else None
    try:
        async with asyncio.timeout(timeout):
            return await _open_stream(
                host=host, port=origin.port, ssl=tls, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY
            )
    except TimeoutError:
        raise httpcore.ConnectTimeout(f"{host} port {origin.port} does not answer") from None
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error


async def open_on_socket(
    connected: socket.socket, tls: ssl.SSLContext | None, server_name: str
) -> ByteStream:
    """Open the stream of a connected socket, over TLS if given, and close the socket on failure. Raises OSError."""
    try:
        return await _open_stream(
            sock=connected, ssl=tls, server_hostname=server_name if tls is not None else None
        )
    except BaseException:
        connected.close()
        raise


async def _open_stream(**destination: Any) -> ByteStream:
    loop = asyncio.get_running_loop()
    reader = CountingReader(READ_LIMIT)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.create_connection(lambda: protocol, **destination)
    # asyncio's selector transport takes 256 KB from the kernel at once, whatever the limit of its reader
    transport.max_size = READ_LIMIT  # type: ignore[attr-defined]
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    return ByteStream(reader, writer, descriptor=transport.get_extra_info("socket").fileno())


@cache
def verifying_context() -> ssl.SSLContext:
    """TLS that verifies the server by the usual authorities, for HTTP/1.1."""
    context = httpx.create_ssl_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _is_readable(descriptor: int) -> bool:
    if descriptor < 0:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
