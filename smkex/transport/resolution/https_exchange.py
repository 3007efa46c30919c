"""DNS over HTTPS (RFC 8484): POST by HTTP/2, or HTTP/1.1 where the resolver has nothing newer."""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import dns.message
import dns.name
import dns.rdatatype
import httpcore

from smkex.transport.resolution.bound_socket import open_resolver_socket
from smkex.transport.resolution.queries import InvalidAnswer, make_query, parse_answer
from smkex.transport.resolution.resolver_address import ResolverAddress
from smkex.transport.resolution.tls_identity import make_resolver_context
from smkex.transport.resolution.tls_stream import STREAM_TIMEOUT, authenticate_resolver
from smkex.transport.routes.target import format_endpoint

ANSWER_LIMIT = 65535  # bytes
MEDIA_TYPE = b"application/dns-message"


class HttpsExchange:
    """Asks one resolver by one interface; all questions share its connections."""

    def __init__(self, where: ResolverAddress, interface: str) -> None:
        self._url = f"https://{format_endpoint(where.certified_name, where.port)}{where.query_path}"
        self._where = where
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=make_resolver_context(where),
            max_connections=4,
            http2=True,
            network_backend=_BoundBackend(where, interface),
        )

    async def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        """Raises TimeoutError, OSError, `PathUnusable`."""
        query = make_query(name, kind, padded=True)
        query.id = 0  # RFC 8484 section 4.1
        fields = [(b"accept", MEDIA_TYPE), (b"content-type", MEDIA_TYPE), (b"accept-encoding", b"identity")]
        try:
            async with asyncio.timeout(STREAM_TIMEOUT):
                request = self._pool.stream("POST", self._url, headers=fields, content=query.to_wire())
                async with request as response:
                    return parse_answer(query, await self._read_message(response))
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise OSError(f"no answer by HTTPS: {error}") from error

    async def close(self) -> None:
        await self._pool.aclose()

    async def _read_message(self, response: httpcore.Response) -> bytes:
        fields = {name.lower(): value for name, value in response.headers}
        kind = fields.get(b"content-type", b"").split(b";")[0].strip().lower()
        if response.status != 200 or kind != MEDIA_TYPE or b"content-encoding" in fields:
            said = f"status {response.status}, {kind.decode('ascii', 'replace')[:80] or 'no content type'}"
            raise InvalidAnswer(f"not an answer to a question over HTTPS: {said}; check the path of the URL")
        message = b""
        async for part in response.aiter_stream():
            message += part
            if len(message) > ANSWER_LIMIT:
                raise InvalidAnswer(f"an answer of more than {ANSWER_LIMIT} bytes")
        return message


class _BoundBackend(httpcore.AsyncNetworkBackend):
    """Connects to the resolver by its interface, whatever name the URL has."""

    def __init__(self, where: ResolverAddress, interface: str) -> None:
        self._where, self._interface = where, interface

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(
            self._where, await open_resolver_socket(self._where, self._interface, socket.SOCK_STREAM)
        )


class _Stream(httpcore.AsyncNetworkStream):
    """Connected, and without a byte sent before `start_tls`."""

    def __init__(self, where: ResolverAddress, sock: socket.socket) -> None:
        self._where, self._sock = where, sock
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        self._reader, self._writer = await authenticate_resolver(self._where, self._sock, ssl_context)
        return self

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        assert self._reader is not None
        return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        assert self._writer is not None
        self._writer.write(buffer)
        await self._writer.drain()

    async def aclose(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        else:
            self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        if self._writer is None:
            return None
        if info == "is_readable":  # an idle connection with something to read is closed, or out of step
            return self._reader is not None and self._reader.at_eof()
        return self._writer.get_extra_info(info)
