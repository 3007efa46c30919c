"""The resolver on loopback: hosts that go by sessions are answered here, every other question elsewhere."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from capture import resolver as resolver_module
from capture.entrances import Entrances
from capture.maps import CaptureMaps
from capture.names import Address, CapturedNames
from capture.resolver import LoopbackResolver
from capture.system_resolvers import SystemResolvers


async def resolve(name: str) -> tuple[Address, ...]:
    if name != "cdn.lab":
        raise OSError("no answer")
    return ip_address("203.0.113.1"), ip_address("2001:db8::1")


class RecordedMaps(CaptureMaps):
    def __init__(self) -> None:
        self.redirected: set[Address] = set()

    def redirect_resolver(self, address: Address) -> None:
        self.redirected.add(address)

    def release_resolver(self, address: Address) -> None:
        self.redirected.remove(address)


class Asker:
    def __init__(self, port: int) -> None:
        self.port = port

    async def by_udp(self, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            await loop.sock_connect(sock, ("127.0.0.1", self.port))
            await loop.sock_sendall(sock, data)
            async with asyncio.timeout(5):
                return await loop.sock_recv(sock, 65535)

    async def by_tcp(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(struct.pack("!H", len(data)) + data)
        async with asyncio.timeout(5):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            answer = await reader.readexactly(length)
        writer.close()
        return answer


@pytest.fixture
async def asker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Asker]:
    async def forwarded(data: bytes, resolver: str) -> bytes:
        return data[:2] + f"forwarded to {resolver}".encode()

    monkeypatch.setattr(resolver_module, "_ask_by_udp", forwarded)
    monkeypatch.setattr(resolver_module, "_ask_by_tcp", forwarded)
    names = CapturedNames(["cdn.lab", "down.lab"], resolve, lambda address: None)
    with Entrances() as entrances:
        file = tmp_path / "resolv.conf"
        file.write_text("nameserver 192.0.2.53\n")
        others = SystemResolvers(RecordedMaps(), file)
        others.refresh()
        running = LoopbackResolver(names, others)
        await running.start(entrances.datagrams, entrances.questions)
        yield Asker(entrances.resolver_port)
        await running.stop()


@pytest.mark.parametrize("way", ["by_udp", "by_tcp"])
async def test_a_captured_host_has_addresses_and_nothing_else(asker: Asker, way: str) -> None:
    found = {}
    for kind in ("A", "AAAA", "HTTPS", "TXT"):
        query = dns.message.make_query("CDN.lab.", kind)
        answer = dns.message.from_wire(await getattr(asker, way)(query.to_wire()))
        assert query.is_response(answer)
        assert answer.rcode() == dns.rcode.NOERROR
        found[kind] = [record.address for records in answer.answer for record in records]
    assert found == {"A": ["203.0.113.1"], "AAAA": ["2001:db8::1"], "HTTPS": [], "TXT": []}


async def test_a_captured_host_that_does_not_resolve_on_both_paths_is_a_failure(asker: Asker) -> None:
    answer = dns.message.from_wire(await asker.by_udp(dns.message.make_query("down.lab", "A").to_wire()))
    assert answer.rcode() == dns.rcode.SERVFAIL
    assert not answer.answer


@pytest.mark.parametrize("way", ["by_udp", "by_tcp"])
async def test_every_other_question_goes_to_the_systems_resolver_as_it_came(asker: Asker, way: str) -> None:
    query = dns.message.make_query("elsewhere.example", "MX").to_wire()
    for data in (query, query[:2] + b"\xff" * 20):
        assert await getattr(asker, way)(data) == data[:2] + b"forwarded to 192.0.2.53"


def test_the_systems_resolvers_are_followed_and_earlier_ones_stay_redirected(tmp_path: Path) -> None:
    file, maps = tmp_path / "resolv.conf", RecordedMaps()
    resolvers = SystemResolvers(maps, file)
    resolvers.refresh()
    assert resolvers.addresses == [ip_address("127.0.0.1")]
    file.write_text(
        "# comment\nsearch lab\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver none\n"
    )
    resolvers.refresh()
    assert list(map(str, resolvers.addresses)) == ["192.0.2.53", "fe80::1%eth0"]
    assert set(map(str, maps.redirected)) == {"127.0.0.1", "192.0.2.53", "fe80::1%eth0"}
    for number in range(40):
        file.write_text(f"nameserver 192.0.2.{number}\n")
        resolvers.refresh()
    assert set(map(str, maps.redirected)) == {f"192.0.2.{number}" for number in range(24, 40)}
