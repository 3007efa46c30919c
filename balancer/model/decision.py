"""The forwarder's decisions in Python: packet in, reason and packet out. The C programs agree byte for byte.

What it does not model: the budget of resets, and the neighbour lookup behind a redirect.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from balancer.model.table import EdgeState, ForwardingTable, Vip
from balancer.model.verdict import Reason

ETHERNET, IPV4, TCP = 14, 20, 20
IPIP, TCP_PROTOCOL = 4, 6
FIN, SYN, RST, ACK = 1, 2, 4, 16
TTL = 64
DONT_FRAGMENT = 0x4000


@dataclass(frozen=True, slots=True)
class Outcome:
    """`packet` is what leaves or is delivered; None when it is dropped. `ingress` is set on delivery."""

    reason: Reason
    packet: bytes | None
    ingress: int | None = None


@dataclass(frozen=True, slots=True)
class Forwarder:
    """One edge's point of view."""

    own_id: int
    own_tunnel: str
    vip: Vip
    table: ForwardingTable
    backbone_mtu: int = 1500

    def outside(self, packet: bytes) -> Outcome:
        """A packet from the world."""
        ip = _ip(packet, ETHERNET) if packet[12:14] == b"\x08\x00" else None
        if ip is None or ip[16:20] != IPv4Address(self.vip.v4 or "").packed:
            return Outcome(Reason.NOT_FOR_VIP, packet)
        if _is_fragment(ip):
            return Outcome(Reason.DROP_FRAGMENT, None)
        if ip[9] != TCP_PROTOCOL:
            return Outcome(Reason.NOT_FOR_VIP, packet)
        at = ETHERNET + (ip[0] & 15) * 4
        if not _has_tcp(packet, at):
            return Outcome(Reason.DROP_TRUNCATED, None)
        edge_id = _u16(packet, at + 2) - self.vip.id_port_base
        if edge_id < 0:
            return Outcome(Reason.SERVICE_PORT, packet)
        if edge_id == 0:
            return Outcome(Reason.DROP_ID_ZERO, None)
        if edge_id == self.own_id:
            return Outcome(Reason.OWN_LOCATOR, packet)
        opens = packet[at + 13] & (SYN | ACK | RST) == SYN
        owner = self.table.edge(edge_id)
        if owner is None or owner.tunnel_v4 is None:
            if opens:
                return Outcome(Reason.RESET_UNKNOWN_ID, reset(packet, at))
            return Outcome(Reason.DROP_UNKNOWN_ID, None)
        if owner.state is EdgeState.DOWN and opens:
            return Outcome(Reason.RESET_OWNER_DOWN, reset(packet, at))
        packet = clamp_mss(packet, at, self.backbone_mtu - 2 * IPV4 - TCP)
        if len(packet) - ETHERNET + IPV4 > self.backbone_mtu:
            return Outcome(Reason.DROP_TOO_BIG, None)
        return Outcome(Reason.FORWARDED, encapsulate(packet, self.own_tunnel, owner.tunnel_v4))

    def tunnel(self, packet: bytes) -> Outcome:
        """A packet from the backbone."""
        outer = _ip(packet, ETHERNET) if packet[12:14] == b"\x08\x00" else None
        if outer is None or outer[16:20] != IPv4Address(self.own_tunnel).packed or outer[9] != IPIP:
            return Outcome(Reason.NOT_FOR_VIP, packet)
        source = str(IPv4Address(outer[12:16]))
        sender = next((edge for edge in self.table.edges if edge.tunnel_v4 == source), None)
        if sender is None:
            return Outcome(Reason.DROP_UNKNOWN_TUNNEL, None)
        if _is_fragment(outer):
            return Outcome(Reason.DROP_FRAGMENT, None)
        inner = _ip(packet, ETHERNET + IPV4)
        if outer[0] != 0x45 or inner is None or _is_fragment(inner) or inner[9] != TCP_PROTOCOL:
            return Outcome(Reason.DROP_BAD_INNER, None)
        at = ETHERNET + IPV4 + (inner[0] & 15) * 4
        if not _has_tcp(packet, at):
            return Outcome(Reason.DROP_BAD_INNER, None)
        stripped = packet[:ETHERNET] + packet[ETHERNET + IPV4 :]
        vip = IPv4Address(self.vip.v4 or "").packed
        if inner[16:20] == vip:
            if _u16(packet, at + 2) != self.vip.id_port_base + self.own_id:
                return Outcome(Reason.DROP_WRONG_OWNER, None)
            return Outcome(Reason.DELIVERED, stripped, sender.id)
        if inner[12:16] == vip:
            if _u16(packet, at) != self.vip.id_port_base + sender.id:
                return Outcome(Reason.DROP_WRONG_SENDER, None)
            return Outcome(Reason.REPLY_RETURNED, stripped)
        return Outcome(Reason.DROP_BAD_INNER, None)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of data padded to an even length."""
    data += b"\0" * (len(data) % 2)
    total = int(sum(struct.unpack(f"!{len(data) // 2}H", data)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def encapsulate(packet: bytes, source: str, destination: str) -> bytes:
    """Put the outer header on (RFC 2003; ECN by RFC 6040 normal mode)."""
    inner = packet[ETHERNET:]
    length = (_u16(inner, 2) + IPV4) & 0xFFFF
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    outer = struct.pack("!BBHHHBBH", 0x45, inner[1], length, 0, DONT_FRAGMENT, TTL, IPIP, 0) + addresses
    outer = outer[:10] + struct.pack("!H", checksum(outer)) + outer[12:]
    return packet[:ETHERNET] + outer + inner


def clamp_mss(packet: bytes, at: int, limit: int) -> bytes:
    """Lower the MSS option of a SYN whose TCP header begins at `at`, and mend the checksum."""
    length = (packet[at + 12] >> 4) * 4 - TCP
    if not packet[at + 13] & SYN or not 4 <= length <= 40 or len(packet) < at + TCP + length:
        return packet
    options = packet[at + TCP : at + TCP + length]
    place = 0
    for _ in range(12):
        if place + 4 > length or options[place] == 0:
            return packet
        if options[place] == 1:
            place += 1
            continue
        size = options[place + 1]
        if size < 2:
            return packet
        if options[place] == 2 and size == 4:
            told = _u16(options, place + 2)
            if told <= limit:
                return packet
            where = at + TCP + place + 2
            mended = _mend(_u16(packet, at + 16), told, limit, odd=bool(place & 1))
            packet = packet[:where] + struct.pack("!H", limit) + packet[where + 2 :]
            return packet[: at + 16] + struct.pack("!H", mended) + packet[at + 18 :]
        place += size
    return packet


def _mend(check: int, was: int, now: int, *, odd: bool) -> int:
    """RFC 1624, equation 3; two bytes at an odd offset count swapped."""
    if odd:
        was, now = (((value & 0xFF) << 8) | value >> 8 for value in (was, now))
    total = (~check & 0xFFFF) + (~was & 0xFFFF) + now
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def reset(packet: bytes, at: int) -> bytes:
    """The RST that answers the SYN in `packet` (RFC 9293 section 3.10.7.1)."""
    ip = packet[ETHERNET:]
    data = _u16(ip, 2) - (ip[0] & 15) * 4 - (packet[at + 12] >> 4) * 4
    acknowledged = int.from_bytes(packet[at + 4 : at + 8], "big") + (data if data >= 0 else 0) + 1
    addresses = ip[16:20] + ip[12:16]
    header = struct.pack("!BBHHHBBH", 0x45, 0, IPV4 + TCP, 0, DONT_FRAGMENT, TTL, TCP_PROTOCOL, 0) + addresses
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    ports = packet[at + 2 : at + 4] + packet[at : at + 2]
    tcp = ports + struct.pack("!IIBBHHH", 0, acknowledged & 0xFFFFFFFF, 5 << 4, RST | ACK, 0, 0, 0)
    pseudo = addresses + struct.pack("!BBH", 0, TCP_PROTOCOL, TCP)
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    return packet[6:12] + packet[0:6] + packet[12:14] + header + tcp


def _ip(packet: bytes, at: int) -> bytes | None:
    header = packet[at : at + IPV4]
    return header if len(header) == IPV4 and header[0] >> 4 == 4 and header[0] & 15 >= 5 else None


def _has_tcp(packet: bytes, at: int) -> bool:
    return len(packet) >= at + TCP and packet[at + 12] >> 4 >= 5


def _is_fragment(ip: bytes) -> bool:
    return _u16(ip, 6) & 0x3FFF != 0


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")
