"""Open the stream of a connection to an origin: resolve, check the addresses, connect to the first that answers, TLS.

The addresses that were checked are those connected to: no second resolution can bring another.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence

import httpcore

from edge.origins.addresses import IPAddress
from edge.origins.proxy_protocol import header_of_request
from smkex.http.stream import ByteStream, open_on_socket, verifying_context

FALLBACK_DELAY = 0.25  # seconds that one of several addresses is tried alone (RFC 8305 section 5)
ADDRESS_LIMIT = 16  # addresses of one name that are tried

SocketAddress = tuple[socket.AddressFamily, tuple[str, int]]


class OriginConnector:
    """Opens connections of one origin, over `tls` where it is https (default: verified by the usual authorities).

    `refusal` says why an address must not be connected to, None if it may. With `proxy_protocol` a connection begins
    with the address of the client that it is opened for, before TLS.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        refusal: Callable[[IPAddress], str | None] = lambda address: None,
        *,
        proxy_protocol: bool = False,
    ) -> None:
        self._proxy_protocol = proxy_protocol
        self._tls = tls
        self._server_name = server_name
        self._refusal = refusal

    async def open_stream(self, origin: httpcore.Origin, timeout: float | None) -> ByteStream:
        """Connect to `origin`. Raises httpcore's `ConnectError` and `ConnectTimeout`."""
        host = origin.host.decode("ascii").strip("[]")
        tls = (self._tls or verifying_context()) if origin.scheme == b"https" else None
        try:
            async with asyncio.timeout(timeout):
                connected = await self.open_socket(host, origin.port)
                if self._proxy_protocol:
                    await _send_header(connected)
                return await open_on_socket(connected, tls, self._server_name or host)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} port {origin.port} does not answer") from None
        except OSError as error:
            raise httpcore.ConnectError(f"{host} port {origin.port}: {error}") from error

    async def open_socket(self, host: str, port: int) -> socket.socket:
        """Connect to an address of `host` that may be connected to. Raises OSError; the caller bounds the time."""
        return await connect_first(await self._find_addresses(host, port))

    async def _find_addresses(self, host: str, port: int) -> list[SocketAddress]:
        """Resolve `host`. Raises OSError, also if none of its addresses may be connected to."""
        refused = None
        usable: list[SocketAddress] = []
        for address in await _resolve_host(host, port):
            why = self._refusal(address)
            if why is None:
                family = socket.AF_INET if address.version == 4 else socket.AF_INET6
                usable.append((family, (str(address), port)))
            refused = refused or why
        if not usable:
            raise OSError(refused or "the name has no address")
        return _alternate_families(usable)[:ADDRESS_LIMIT]


async def _send_header(connected: socket.socket) -> None:
    try:
        await asyncio.get_running_loop().sock_sendall(connected, header_of_request())
    except BaseException:
        connected.close()
        raise


async def open_plain(origin: httpcore.Origin, timeout: float | None) -> ByteStream:
    """Connect to an origin that the operator of the edge itself has named: any address."""
    return await OriginConnector().open_stream(origin, timeout)


async def _resolve_host(host: str, port: int) -> list[IPAddress]:
    with contextlib.suppress(ValueError):
        return [ipaddress.ip_address(host)]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # a zone (fe80::1%eth0) cannot be checked apart from its interface
    return [ipaddress.ip_address(str(each[4][0])) for each in found if "%" not in str(each[4][0])]


def _alternate_families(addresses: list[SocketAddress]) -> list[SocketAddress]:
    """Let the families take turns, beginning with that of the first address (RFC 8305 section 4)."""
    first = [each for each in addresses if each[0] is addresses[0][0]]
    second = [each for each in addresses if each[0] is not addresses[0][0]]
    turns = [pair for both in zip(first, second, strict=False) for pair in both]
    common = min(len(first), len(second))
    return [*turns, *first[common:], *second[common:]]


async def connect_first(addresses: Sequence[SocketAddress]) -> socket.socket:
    """Connect to the first address that answers; each is tried alone for a moment. Raises the last OSError."""
    waiting = list(addresses)
    running: set[asyncio.Task[socket.socket]] = set()
    failure = OSError("no address")
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(_connect_socket(*waiting.pop(0))))
            done, running = await asyncio.wait(
                running, timeout=FALLBACK_DELAY if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            connected = [task.result() for task in done if task.exception() is None]
            for spare in connected[1:]:
                spare.close()
            if connected:
                return connected[0]
            for task in done:
                error = task.exception()
                failure = error if isinstance(error, OSError) else failure
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_unused)
    raise failure


async def _connect_socket(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _close_unused(task: "asyncio.Task[socket.socket]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
