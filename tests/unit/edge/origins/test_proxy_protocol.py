"""PROXY protocol v2 towards HTTP origins: a real origin reads it, and no client can write it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from proxy_protocol import SIGNATURE, ProxyHeader, read_proxy_header
from scripted_server import ScriptedServer, answer

from edge.http.fields import Pairs
from edge.origins.registry import OriginRegistry
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.request_record import RequestRecord, current_record
from edge.telemetry.telemetry import Telemetry
from services.document import HttpService, parse_document

HOST: Pairs = [("host", "www.example")]
LOCAL = bytes.fromhex("20000000")


@dataclass
class ProxiedOrigin:
    """An origin that takes nothing but connections with a header."""

    headers: list[ProxyHeader] = field(default_factory=list)
    local: int = 0
    server: ScriptedServer = field(default_factory=lambda: ScriptedServer(lambda asked: [answer("body")]))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            start = await reader.readexactly(16)
            if start[12:] == LOCAL:
                assert start[:12] == SIGNATURE
                self.local += 1
            else:
                whole = asyncio.StreamReader()
                whole.feed_data(start + await reader.readexactly(int.from_bytes(start[14:16], "big")))
                self.headers.append(await read_proxy_header(whole))
            await self.server.serve(reader, writer)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()


def record_of(client: str) -> RequestRecord:
    facts = ConnectionFacts("tofu", "tcp", 1, client)
    facts.client_port, facts.server, facts.server_port = 4000, "203.0.113.1", 443
    return Telemetry(1).begin_request(facts, "GET", b"/", ())


def document(port: int, **more: object) -> HttpService:
    origin = {"name": "one", "url": f"http://127.0.0.1:{port}", "proxy_protocol": True, **more}
    parsed = parse_document({"hostnames": ["www.example"], "origins": [origin]})
    assert isinstance(parsed, HttpService)
    return parsed


async def test_each_request_names_its_own_client() -> None:
    origin = ProxiedOrigin()
    registry = OriginRegistry("edge1", lambda address: None)
    async with origin.listening() as port:
        origins = registry.make_origins("shop", document(port), {})

        async def ask(client: str) -> str:
            record = record_of(client)
            current_record.set(record)
            async with origins.request("GET", b"/", HOST) as found:
                assert b"".join([part async for part in found.parts]) == b"body"
            return record.request_id

        clients = ["192.0.2.1", "192.0.2.2", "2001:db8::7"]
        ids = [await asyncio.create_task(ask(client)) for client in clients]
        together = [f"198.51.100.{number}" for number in range(1, 9)]
        await asyncio.gather(*(asyncio.create_task(ask(client)) for client in together))
        await origins.close()
    await registry.close()
    assert [ip_address(each.source[0]) for each in origin.headers[:3]] == list(map(ip_address, clients))
    assert [each.values[0x05].decode() for each in origin.headers[:3]] == ids
    assert origin.headers[0].source == ("192.0.2.1", 4000)
    assert origin.headers[0].destination == ("203.0.113.1", 443)
    assert origin.headers[2].destination == ("::ffff:203.0.113.1", 443)
    assert {each.source[0] for each in origin.headers[3:]} == set(together)
    assert len(origin.headers) == len(origin.server.asked) == len(clients) + len(together)


async def test_what_is_for_no_client_says_local() -> None:
    origin = ProxiedOrigin()
    registry = OriginRegistry("edge1", lambda address: None)
    current_record.set(None)
    async with origin.listening() as port:
        origins = registry.make_origins("shop", document(port), {})
        async with origins.request("GET", b"/", HOST) as found:
            assert found.status == 200
        await origins.close()
    await registry.close()
    assert (origin.local, origin.headers) == (1, [])
