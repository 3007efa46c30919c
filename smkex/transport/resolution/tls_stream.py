"""A TLS connection to a resolver by one interface, authenticated before a byte of DNS is sent; and DNS over TLS."""

import asyncio
import socket
import ssl

import dns.message
import dns.name
import dns.rdatatype

from smkex.transport.resolution.bound_socket import open_resolver_socket
from smkex.transport.resolution.dns_stream import DnsStream
from smkex.transport.resolution.queries import make_query
from smkex.transport.resolution.resolver_address import ResolverAddress
from smkex.transport.resolution.tls_identity import check_pinned_key, make_resolver_context

STREAM_TIMEOUT = 4.0  # seconds for a question, with what opens the connection

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_tls_stream(where: ResolverAddress, interface: str) -> Streams:
    """Raises OSError (ssl.SSLError among them), `PathUnusable`."""
    sock = await open_resolver_socket(where, interface, socket.SOCK_STREAM)
    return await authenticate_resolver(where, sock, make_resolver_context(where))


async def authenticate_resolver(
    where: ResolverAddress, sock: socket.socket, context: ssl.SSLContext
) -> Streams:
    """Raises OSError (ssl.SSLError among them)."""
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=context, server_hostname=where.certified_name
    )
    try:
        check_pinned_key(where, writer.get_extra_info("ssl_object"))
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


class TlsExchange:
    """Asks one resolver by one interface; all questions share one connection, opened with the first."""

    def __init__(self, where: ResolverAddress, interface: str) -> None:
        self._where, self._interface = where, interface
        self._opening: asyncio.Task[DnsStream] | None = None

    async def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        """Raises TimeoutError, OSError, `PathUnusable`."""
        async with asyncio.timeout(STREAM_TIMEOUT):
            if self._opening is None:
                self._opening = asyncio.create_task(self._open())
            stream = await asyncio.shield(self._opening)
            return await stream.ask(make_query(name, kind, padded=True))

    async def close(self) -> None:
        if self._opening is None:
            return
        self._opening.cancel()
        (opened,) = await asyncio.gather(self._opening, return_exceptions=True)
        if isinstance(opened, DnsStream):
            opened.close()

    async def _open(self) -> DnsStream:
        return DnsStream(*await open_tls_stream(self._where, self._interface))
