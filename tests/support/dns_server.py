"""A name server for tests, with real sockets, that is honest or not: UDP, TCP, TLS and HTTPS (HTTP/1.1)."""

import asyncio
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, Mapping[str, Sequence[str]]]
# what is done to an answer before it leaves; nothing leaves where it returns no bytes
Change = Callable[[dns.message.Message, dns.message.Message], Sequence[bytes]]


def send_unchanged(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
    return [answer.to_wire(prefer_truncation=True)]


class DnsServer:
    """Answers from `zone`: names (`*`: every other) with record types and their data.

    `asked` counts questions by protocol and kind, `connections` by protocol. `truncate` sets TC on datagrams.
    """

    def __init__(
        self,
        zone: Zone,
        *,
        change: Change = send_unchanged,
        certificate: tuple[Path, Path] | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
        truncate: bool = False,
        rcode: str = "NOERROR",
        https: bool = False,
    ) -> None:
        self.zone, self.change = zone, change
        self.asked: Counter[tuple[str, str]] = Counter()
        self.connections: Counter[str] = Counter()
        self.truncate, self.rcode = truncate, rcode
        self.response_head = b"HTTP/1.1 200 OK\r\ncontent-type: application/dns-message\r\n"
        self._address, self._given_port, self._https = address, port, https
        self._certificate = certificate
        self.port = self.tls_port = 0
        self._servers: list[asyncio.Server] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    async def __aenter__(self) -> "DnsServer":
        listening = socket.create_server(
            (self._address, self._given_port),
            family=socket.AF_INET6 if ":" in self._address else socket.AF_INET,
        )
        self.port = listening.getsockname()[1]
        self._servers.append(await asyncio.start_server(self._serve_tcp, sock=listening))
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(self._address, self.port)
        )
        if self._certificate is not None:
            self.show_certificate(self._certificate)
            usual = 443 if self._https else 853
            server = await asyncio.start_server(
                self._serve_https if self._https else self._serve_tls,
                self._address,
                usual if self._given_port else 0,
                ssl=self._context,
            )
            self.tls_port = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._transport is not None
        self._transport.close()
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    def disconnect(self) -> None:
        """Close all connections; new ones are accepted."""
        for writer in self._writers:
            writer.transport.abort()

    def show_certificate(self, certificate: tuple[Path, Path]) -> None:
        """To connections from now on."""
        self._context.load_cert_chain(*certificate)

    def answers(self, data: bytes, protocol: str) -> Sequence[bytes]:
        query = dns.message.from_wire(data)
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked[protocol, kind] += 1
        answer = dns.message.make_response(query)
        if protocol != "udp":
            answer.request_payload = 65535
        answer.set_rcode(dns.rcode.from_text(self.rcode))
        if protocol == "udp" and self.truncate:
            answer.flags |= dns.flags.TC
        elif self.rcode == "NOERROR":
            self._fill(answer, query.question[0].name, kind)
        return self.change(query, answer)

    def _fill(self, answer: dns.message.Message, name: dns.name.Name, kind: str) -> None:
        for _ in range(20):  # a loop of aliases is followed for a while
            own = self.zone.get(name.to_text(omit_final_dot=True).lower(), self.zone.get("*"))
            if own is None:
                answer.set_rcode(dns.rcode.NXDOMAIN)
                return
            if kind in own:
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *own[kind]))
                return
            if "CNAME" not in own:
                return
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", *own["CNAME"]))
            name = dns.name.from_text(own["CNAME"][0])

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve_messages(reader, writer, "tcp")

    async def _serve_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve_messages(reader, writer, "tls")

    async def _serve_messages(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: str
    ) -> None:
        self._begin(protocol, writer)
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                for reply in self.answers(await reader.readexactly(length), protocol):
                    writer.write(struct.pack("!H", len(reply)) + reply)
        self._end(writer)

    async def _serve_https(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._begin("https", writer)
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                assert head.startswith(b"post /dns-query http/1.1\r\n")
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                for reply in self.answers(await reader.readexactly(length), "https"):
                    writer.write(self.response_head + b"content-length: %d\r\n\r\n" % len(reply) + reply)
        self._end(writer)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()

    def _begin(self, protocol: str, writer: asyncio.StreamWriter) -> None:
        self.connections[protocol] += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(cast("asyncio.Task[None]", task))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        for reply in self._server.answers(data, "udp"):
            self._transport.sendto(reply, addr)  # type: ignore[arg-type]
