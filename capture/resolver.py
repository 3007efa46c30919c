"""The resolver on loopback that captured programs ask.

It answers for the hosts that go by sessions; every other question goes to the system's resolver as it came, and its
answer comes back as it is.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from capture.names import CapturedNames
from capture.system_resolvers import SystemResolvers
from smkex.core.errors import SmkexError
from smkex.transport.routes.host_name import HostName, InvalidHostName

Address = IPv4Address | IPv6Address

ANSWER_LIFETIME = 30  # seconds, shorter than names are kept
FORWARD_TIMEOUT = 5.0  # seconds that another resolver has
TCP_TIMEOUT = 30.0  # seconds without a question on a connection
PENDING_LIMIT = 256  # questions at a time
DATAGRAM_LIMIT = 65535
_KINDS = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}


class LoopbackResolver:
    """Answers at bound sockets between `start` and `stop`; `others` are the system's resolvers."""

    def __init__(self, names: CapturedNames, others: SystemResolvers) -> None:
        self._names, self._others = names, others
        self._transports: list[asyncio.DatagramTransport] = []
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, datagrams: Sequence[socket.socket], streams: Sequence[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for sock in datagrams:
            sock.setblocking(False)
            transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=sock)
            self._transports.append(transport)
        for sock in streams:
            self._servers.append(await asyncio.start_server(self._serve_stream, sock=sock))
        self._following = asyncio.create_task(self._others.follow())

    async def stop(self) -> None:
        self._following.cancel()
        for transport in self._transports:
            transport.close()
        for server in self._servers:
            server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def receive_datagram(self, transport: asyncio.DatagramTransport, data: bytes, client: object) -> None:
        """Answer in a task; beyond the limit the question is dropped, and its program asks again."""
        if len(self._tasks) >= PENDING_LIMIT:
            return

        async def answer() -> None:
            reply = await self._answer(data, stream=False)
            if reply is not None and not transport.is_closing():
                transport.sendto(reply, client)  # type: ignore[arg-type]

        task = asyncio.create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                async with asyncio.timeout(TCP_TIMEOUT):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    question = await reader.readexactly(length)
                reply = await self._answer(question, stream=True)
                if reply is None:
                    return
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, data: bytes, *, stream: bool) -> bytes | None:
        """Return the answer to one question, None where there is none."""
        try:
            query = dns.message.from_wire(data)
            name = HostName.parse(query.question[0].name.to_text(omit_final_dot=True)).text
        except (dns.exception.DNSException, InvalidHostName, IndexError):
            name = ""
        if not name or not self._names.includes(name):
            return await self._forward(data, stream=stream)
        return (await self._answer_captured(query, name)).to_wire()

    async def _answer_captured(self, query: dns.message.Message, name: str) -> dns.message.Message:
        """Answer for a host that goes by sessions; only addresses exist of it."""
        reply = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        version = _KINDS.get(question.rdtype)
        try:
            addresses = await self._names.addresses_of(name)
        except (SmkexError, OSError):
            reply.set_rcode(dns.rcode.SERVFAIL)
            return reply
        found = [str(address) for address in addresses if address.version == version]
        if found:
            reply.answer.append(
                dns.rrset.from_text(question.name, ANSWER_LIFETIME, "IN", question.rdtype, *found)
            )
        return reply

    async def _forward(self, data: bytes, *, stream: bool) -> bytes | None:
        for resolver in self._others.addresses:
            try:
                async with asyncio.timeout(FORWARD_TIMEOUT):
                    return await (_ask_by_tcp if stream else _ask_by_udp)(data, str(resolver))
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue
        return None


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: LoopbackResolver) -> None:
        self._resolver = resolver

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own is no subclass

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._resolver.receive_datagram(self._transport, data, addr)


async def _ask_by_udp(data: bytes, resolver: str) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        await loop.sock_connect(sock, (resolver, 53))  # connected: the kernel takes answers from it alone
        await loop.sock_sendall(sock, data)
        while True:
            reply = await loop.sock_recv(sock, DATAGRAM_LIMIT)
            if reply[:2] == data[:2]:
                return reply


async def _ask_by_tcp(data: bytes, resolver: str) -> bytes:
    reader, writer = await asyncio.open_connection(resolver, 53)
    try:
        writer.write(struct.pack("!H", len(data)) + data)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()
