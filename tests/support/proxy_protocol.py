"""A reader of PROXY protocol version 2, written from its specification, for tests."""

import asyncio
import socket
import struct
from dataclasses import dataclass

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


@dataclass
class ProxyHeader:
    source: tuple[str, int]
    destination: tuple[str, int]
    values: dict[int, bytes]


async def read_proxy_header(reader: asyncio.StreamReader) -> ProxyHeader:
    """Read one header; what follows it stays in the reader."""
    assert await reader.readexactly(12) == SIGNATURE
    command, family, length = struct.unpack("!BBH", await reader.readexactly(4))
    assert command == 0x21
    body = await reader.readexactly(length)
    kind, size = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}[family]
    hosts = [socket.inet_ntop(kind, body[at : at + size]) for at in (0, size)]
    ports = struct.unpack("!HH", body[2 * size : 2 * size + 4])
    rest, values = body[2 * size + 4 :], {}
    while rest:
        tag, count = struct.unpack("!BH", rest[:3])
        assert len(rest) >= 3 + count
        assert tag not in values
        values[tag], rest = rest[3 : 3 + count], rest[3 + count :]
    return ProxyHeader((hosts[0], ports[0]), (hosts[1], ports[1]), values)


def read_paths(value: bytes) -> list[tuple[int, int, str, int]]:
    """Return number, ingress edge, client's address and port of each path."""
    assert len(value) % 21 == 0
    found = []
    for at in range(0, len(value), 21):
        number, ingress = struct.unpack("!BH", value[at : at + 3])
        address = socket.inet_ntop(socket.AF_INET6, value[at + 3 : at + 19])
        found.append((number, ingress, address, int.from_bytes(value[at + 19 : at + 21], "big")))
    return found
