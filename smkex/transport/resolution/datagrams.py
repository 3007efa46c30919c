"""Plain DNS: UDP, and TCP for an answer that does not fit into a datagram."""

import asyncio
import socket

import dns.message
import dns.name
import dns.rdatatype

from smkex.transport.resolution.bound_socket import open_resolver_socket
from smkex.transport.resolution.dns_stream import DnsStream
from smkex.transport.resolution.queries import InvalidAnswer, is_truncated, make_query, parse_answer
from smkex.transport.resolution.resolver_address import ResolverAddress

# seconds to wait, and whether the case is mixed: a few old servers do not repeat it
TRIES = ((1.0, True), (2.0, False))
STREAM_TIMEOUT = 4.0  # seconds for the question again by TCP
RECEIVE_LIMIT = 4096  # bytes of a datagram; what is longer is cut and invalid
INVALID_LIMIT = 100  # datagrams on the connected socket that are not the answer


class PlainExchange:
    """Asks one resolver by one interface; each question has its own socket and so its own random port."""

    def __init__(self, where: ResolverAddress, interface: str) -> None:
        self._where, self._interface = where, interface

    async def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        """Raises TimeoutError, OSError, `PathUnusable`."""
        for seconds, mixed_case in TRIES:
            query = make_query(name, kind, mixed_case=mixed_case)
            try:
                async with asyncio.timeout(seconds):
                    answer = await self._exchange_datagrams(query)
            except TimeoutError:
                continue
            return await self._ask_by_stream(name, kind) if is_truncated(answer) else answer
        raise TimeoutError

    async def _exchange_datagrams(self, query: dns.message.Message) -> dns.message.Message:
        loop = asyncio.get_running_loop()
        with await open_resolver_socket(self._where, self._interface, socket.SOCK_DGRAM) as sock:
            await loop.sock_sendall(sock, query.to_wire())
            for _ in range(INVALID_LIMIT):
                try:
                    return parse_answer(query, await loop.sock_recv(sock, RECEIVE_LIMIT))
                except InvalidAnswer:
                    continue  # forged, or late
        raise InvalidAnswer(f"{INVALID_LIMIT} datagrams that are not the answer: they may be forged")

    async def _ask_by_stream(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        async with asyncio.timeout(STREAM_TIMEOUT):
            sock = await open_resolver_socket(self._where, self._interface, socket.SOCK_STREAM)
            stream = DnsStream(*await asyncio.open_connection(sock=sock))
            try:
                return await stream.ask(make_query(name, kind))
            finally:
                stream.close()
