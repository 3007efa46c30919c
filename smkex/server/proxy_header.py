"""PROXY protocol version 2 for a session: a TCP service behind it learns the client's addresses and the mode.

The header's source is the client's address on path 0. TLVs of the range for applications (0xE0 to 0xEF) have what the
session adds; docs/tunnel.md describes them.
"""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

from smkex.transport.driver import SessionDriver

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_VERSION_AND_PROXY = 0x21
_VERSION_AND_LOCAL = 0x20
_TCP4, _TCP6 = 0x11, 0x21
TYPE_UNIQUE_ID = 0x05
TYPE_MODE = 0xE0  # name of the mode
TYPE_PATHS = 0xE1  # per path: number (1 byte), ingress edge (2), client's address (16, IPv4 mapped), port (2)
TYPE_CONFIRMED = 0xE2  # 1 when both paths were confirmed before this header, else 0
TYPE_OWNER = 0xE3  # edge id of the owner (2 bytes)

Address = IPv4Address | IPv6Address


def build_proxy_header(session: SessionDriver) -> bytes:
    """Return the header of a session's stream."""
    first = session.observed[0].client
    host, port = session.get_extra_info("sockname")[:2]
    addresses = _encode_addresses(first.address, first.port, ip_address(host.partition("%")[0]), port)
    established = session.established
    confirmed = bool(session.get_extra_info("path_confirmed")())
    body = addresses[1] + b"".join(
        (
            _encode_tlv(TYPE_UNIQUE_ID, established.session_id),
            _encode_tlv(TYPE_MODE, established.mode.name.lower().encode()),
            _encode_tlv(TYPE_PATHS, _encode_paths(session)),
            _encode_tlv(TYPE_CONFIRMED, bytes([confirmed])),
            _encode_tlv(TYPE_OWNER, established.edge_id.to_bytes(2, "big")),
        )
    )
    return SIGNATURE + struct.pack("!BBH", _VERSION_AND_PROXY, addresses[0], len(body)) + body


def build_plain_header(
    source: tuple[Address, int] | None, destination: tuple[Address, int], unique_id: bytes = b""
) -> bytes:
    """Return the header of a connection for a client at `source`; without one it says LOCAL (section 2.2)."""
    if source is None:
        return SIGNATURE + struct.pack("!BBH", _VERSION_AND_LOCAL, 0, 0)
    family, body = _encode_addresses(*source, *destination)
    if unique_id:
        body += _encode_tlv(TYPE_UNIQUE_ID, unique_id)
    return SIGNATURE + struct.pack("!BBH", _VERSION_AND_PROXY, family, len(body)) + body


def _encode_addresses(
    source: Address, source_port: int, destination: Address, destination_port: int
) -> tuple[int, bytes]:
    """Return family and address block; IPv4 where both ends are IPv4."""
    ports = struct.pack("!HH", source_port, destination_port)
    source, destination = _unmap_address(source), _unmap_address(destination)
    if source.version == destination.version == 4:
        return _TCP4, source.packed + destination.packed + ports
    return _TCP6, _mapped_bytes(source) + _mapped_bytes(destination) + ports


def _encode_paths(session: SessionDriver) -> bytes:
    return b"".join(
        struct.pack("!BH", number, seen.ingress_id)
        + _mapped_bytes(seen.client.address)
        + struct.pack("!H", seen.client.port)
        for number, seen in sorted(session.observed.items())
    )


def _encode_tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def _unmap_address(address: Address) -> Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _mapped_bytes(address: Address) -> bytes:
    return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed
