"""Outer headers in Python: IP in IP, or GUE over UDP; IPv4 and IPv6 inside and outside. As datapath/c/tunnel.h."""

import struct
from dataclasses import dataclass

from balancer.model.reference.checksum import checksum, update_checksum
from balancer.model.reference.flow import flow_hash
from balancer.model.reference.packet import (
    ETHERNET,
    ETHERTYPES,
    IPV4,
    IPV6,
    UDP_PROTOCOL,
    Packet,
    mapped_address,
    u16,
)
from balancer.model.table import Encapsulation, TableEdge

TTL, DONT_FRAGMENT = 64, 0x4000
HAND_ON_TTL = 4  # of a packet that came by a tunnel and goes on by another, before it is lowered
NUMBERS = {4: 4, 6: 41}  # IP protocol numbers of IPv4 and IPv6 inside something
VERSIONS = {number: version for version, number in NUMBERS.items()}
TYPES = {version: name for name, version in ETHERTYPES.items()}
GUE_PORT, GUE_HEADER = 6080, 12
CONGESTION = 3  # the ECN field's CE (RFC 3168)


@dataclass(frozen=True, slots=True)
class Ends:
    """Tunnel endpoints of one edge."""

    v4: str | None
    v6: str | None


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The tunnel from one edge to another; the outer header is IPv4 if both have it."""

    version: int
    source: bytes
    destination: bytes
    gue: bool

    @property
    def outer(self) -> int:
        """Bytes of the outer header."""
        return (IPV4 if self.version == 4 else IPV6) + (GUE_HEADER if self.gue else 0)


def tunnel_to(own: Ends, edge: TableEdge, encapsulation: Encapsulation | None = None) -> Tunnel | None:
    """Return the tunnel to an edge; None if the two have no common address family."""
    gue = (encapsulation or edge.encapsulation) is Encapsulation.GUE
    if own.v4 and edge.tunnel_v4:
        return Tunnel(4, mapped_address(own.v4), mapped_address(edge.tunnel_v4), gue)
    if own.v6 and edge.tunnel_v6:
        return Tunnel(6, mapped_address(own.v6), mapped_address(edge.tunnel_v6), gue)
    return None


def encapsulate(packet: Packet, tunnel: Tunnel) -> bytes:
    """Add the outer header; copy ECN (RFC 6040 normal mode) and DSCP."""
    inner = packet.data[packet.l3 :]
    number = NUMBERS[packet.version]
    gue = _gue_header(packet, number) if tunnel.gue else b""
    protocol = UDP_PROTOCOL if tunnel.gue else number
    length = packet.length + tunnel.outer
    if tunnel.version == 4:
        addresses = tunnel.source[12:] + tunnel.destination[12:]
        head = struct.pack("!BBHHHBBH", 0x45, packet.tos, length & 0xFFFF, 0, DONT_FRAGMENT, TTL, protocol, 0)
        outer = head + addresses
        outer = outer[:10] + struct.pack("!H", checksum(outer)) + outer[12:]
    else:
        first = 6 << 28 | packet.tos << 20
        outer = struct.pack("!IHBB", first, (length - IPV6) & 0xFFFF, protocol, TTL)
        outer += tunnel.source + tunnel.destination
    return _ethernet_frame(packet.data, tunnel.version) + outer + gue + inner


def inner_at(outer: Packet) -> tuple[int, int] | None:
    """Return (version, offset) of the inner packet; None if not a tunnel packet. Raises ValueError if malformed."""
    if outer.protocol in VERSIONS:
        return VERSIONS[outer.protocol], outer.l4
    if outer.protocol != UDP_PROTOCOL or outer.fragment:
        return None
    gue = outer.data[outer.l4 : outer.l4 + GUE_HEADER]
    if len(gue) < GUE_HEADER or u16(gue, 2) != GUE_PORT:
        return None
    if gue[8] or u16(gue, 10) or gue[9] not in VERSIONS:
        raise ValueError("unsupported GUE header: another variant, a control message, or options")
    return VERSIONS[gue[9]], outer.l4 + GUE_HEADER


def decapsulate(outer: Packet, inner: Packet) -> bytes:
    """Remove the outer header; copy a congestion mark to the inner one (RFC 6040 section 4.2)."""
    data = inner.data[inner.l3 :]
    if outer.tos & CONGESTION == CONGESTION and inner.tos & CONGESTION != CONGESTION:
        tos = inner.tos | CONGESTION
        if inner.version == 4:
            mended = struct.pack("!H", update_checksum(u16(data, 10), inner.tos, tos))
            data = data[:1] + bytes([tos]) + data[2:10] + mended + data[12:]
        else:
            data = data[:1] + bytes([data[1] | CONGESTION << 4]) + data[2:]
    return _ethernet_frame(outer.data, inner.version) + data


def lower_hop_limit(frame: bytes, version: int) -> bytes | None:
    """Lower the TTL of a packet that came by a tunnel and goes on by another; None where it has to be dropped.

    RFC 2003 section 3.1, RFC 2473 section 3.1; to `HAND_ON_TTL` - 1 at most, which bounds loops.
    """
    at = ETHERNET + (8 if version == 4 else 7)
    before = frame[at]
    if before <= 1:
        return None
    after = min(before, HAND_ON_TTL) - 1
    lowered = frame[:at] + bytes([after]) + frame[at + 1 :]
    if version == 6:
        return lowered
    checksum = at + 2
    mended = update_checksum(u16(frame, checksum), before << 8 | frame[at + 1], after << 8 | frame[at + 1])
    return lowered[:checksum] + struct.pack("!H", mended) + lowered[checksum + 2 :]


def must_drop_congestion(outer: Packet, inner: Packet) -> bool:
    """Return whether to drop: congestion experienced by an inner packet without ECN (RFC 6040 section 4.2)."""
    return outer.tos & CONGESTION == CONGESTION and inner.tos & CONGESTION == 0


def _gue_header(packet: Packet, number: int) -> bytes:
    source = 0xC000 | flow_hash(packet) & 0x3FFF
    return struct.pack("!HHHHBBH", source, GUE_PORT, packet.length + GUE_HEADER & 0xFFFF, 0, 0, number, 0)


def _ethernet_frame(data: bytes, version: int) -> bytes:
    return data[: ETHERNET - 2] + TYPES[version]
