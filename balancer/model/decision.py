"""The forwarder's decisions in Python: packet in, reason and packet out. The C programs agree byte for byte.

What it does not model: the budget of resets, and the neighbour lookup behind a redirect.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from balancer.model.rewrite import (
    ACK,
    CONGESTION,
    ETHERNET,
    IPIP,
    IPV4,
    RST,
    SYN,
    TCP,
    TCP_PROTOCOL,
    clamp_mss,
    decapsulate,
    encapsulate,
    reset,
    u16,
)
from balancer.model.table import EdgeState, ForwardingTable, TableEdge, Vip
from balancer.model.verdict import Reason

ICMP, ICMP_HEADER = 1, 8
ICMP_ERRORS = (3, 11, 12)  # unreachable, time exceeded, parameter problem
MARK_TAG, MARK_MASK, INGRESS_MASK = 0x5E000000, 0xFF000000, 0xFFFF


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
        if ip is None or ip[16:20] != self._vip():
            return Outcome(Reason.NOT_FOR_VIP, packet)
        if _is_fragment(ip):
            return Outcome(Reason.DROP_FRAGMENT, None)
        if ip[9] != TCP_PROTOCOL:
            return self._follow_icmp(packet, ip)
        at = ETHERNET + (ip[0] & 15) * 4
        if not _has_tcp(packet, ip, ETHERNET):
            return Outcome(Reason.DROP_TRUNCATED, None)
        edge_id = u16(packet, at + 2) - self.vip.id_port_base
        if edge_id < 0:
            return Outcome(Reason.SERVICE_PORT, packet)
        if edge_id == 0:
            return Outcome(Reason.DROP_ID_ZERO, None)
        if edge_id == self.own_id:
            return Outcome(Reason.OWN_LOCATOR, packet)
        opens = packet[at + 13] & (SYN | ACK | RST) == SYN
        owner = self._edge(edge_id)
        if owner is None:
            return _refuse(packet, at, Reason.RESET_UNKNOWN_ID) if opens else _drop(Reason.DROP_UNKNOWN_ID)
        if owner.state is EdgeState.DOWN and opens:
            return _refuse(packet, at, Reason.RESET_OWNER_DOWN)
        return self._send(clamp_mss(packet, at, self._mss_limit()), owner, Reason.FORWARDED)

    def tunnel(self, packet: bytes) -> Outcome:
        """A packet from the backbone."""
        outer = _ip(packet, ETHERNET) if packet[12:14] == b"\x08\x00" else None
        if outer is None or outer[16:20] != IPv4Address(self.own_tunnel).packed or outer[9] != IPIP:
            return Outcome(Reason.NOT_FOR_VIP, packet)
        source = str(IPv4Address(outer[12:16]))
        sender = next((edge for edge in self.table.edges if edge.tunnel_v4 == source), None)
        if sender is None or sender.id == self.own_id:
            return _drop(Reason.DROP_UNKNOWN_TUNNEL)
        if _is_fragment(outer):
            return _drop(Reason.DROP_FRAGMENT)
        inner = _ip(packet, ETHERNET + IPV4)
        if outer[0] != 0x45 or inner is None or _is_fragment(inner) or inner[9] not in (TCP_PROTOCOL, ICMP):
            return _drop(Reason.DROP_BAD_INNER)
        if inner[9] == TCP_PROTOCOL and not _has_tcp(packet, inner, ETHERNET + IPV4):
            return _drop(Reason.DROP_BAD_INNER)
        if outer[1] & CONGESTION == CONGESTION and inner[1] & CONGESTION == 0:
            return _drop(Reason.DROP_CONGESTION)
        if inner[16:20] == self._vip():
            return self._deliver(packet, inner, sender.id)
        if inner[9] == TCP_PROTOCOL and inner[12:16] == self._vip():
            at = ETHERNET + IPV4 + (inner[0] & 15) * 4
            if u16(packet, at) != self.vip.id_port_base + sender.id:
                return _drop(Reason.DROP_WRONG_SENDER)
            return Outcome(Reason.REPLY_RETURNED, decapsulate(packet))
        return _drop(Reason.DROP_BAD_INNER)

    def reply(self, packet: bytes, mark: int) -> Outcome:
        """A packet that this host sends, with its mark."""
        ours = mark & MARK_MASK == MARK_TAG and packet[12:14] == b"\x08\x00"
        ip = _ip(packet, ETHERNET) if ours else None
        if ip is None or ip[12:16] != self._vip() or ip[9] != TCP_PROTOCOL or _is_fragment(ip):
            return Outcome(Reason.NOT_FOR_VIP, packet)
        at = ETHERNET + (ip[0] & 15) * 4
        mine = self.vip.id_port_base + self.own_id
        if not _has_tcp(packet, ip, ETHERNET) or u16(packet, at) != mine:
            return Outcome(Reason.NOT_FOR_VIP, packet)
        ingress = self._edge(mark & INGRESS_MASK)
        if ingress is None:
            return _drop(Reason.DROP_UNKNOWN_INGRESS)
        return self._send(clamp_mss(packet, at, self._mss_limit()), ingress, Reason.REPLY_FORWARDED)

    def _deliver(self, packet: bytes, inner: bytes, sender: int) -> Outcome:
        mine = self.vip.id_port_base + self.own_id
        if inner[9] == ICMP:
            if self._quoted_port(packet, inner, ETHERNET + IPV4) != mine:
                return _drop(Reason.DROP_BAD_INNER)
            return Outcome(Reason.ICMP_DELIVERED, decapsulate(packet), sender)
        if u16(packet, ETHERNET + IPV4 + (inner[0] & 15) * 4 + 2) != mine:
            return _drop(Reason.DROP_WRONG_OWNER)
        return Outcome(Reason.DELIVERED, decapsulate(packet), sender)

    def _follow_icmp(self, packet: bytes, ip: bytes) -> Outcome:
        edge_id = self._quoted_port(packet, ip, ETHERNET) - self.vip.id_port_base
        if edge_id <= 0 or edge_id == self.own_id:
            return Outcome(Reason.NOT_FOR_VIP, packet)
        owner = self._edge(edge_id)
        return self._send(packet, owner, Reason.ICMP_FORWARDED) if owner else _drop(Reason.DROP_UNKNOWN_ID)

    def _quoted_port(self, packet: bytes, ip: bytes, at: int) -> int:
        """The TCP source port of the VIP's packet that an ICMP error quotes (RFC 792); 0 for anything else."""
        at += (ip[0] & 15) * 4
        if ip[9] != ICMP or len(packet) <= at or packet[at] not in ICMP_ERRORS:
            return 0
        quoted = _ip(packet, at + ICMP_HEADER)
        if quoted is None or quoted[12:16] != self._vip() or quoted[9] != TCP_PROTOCOL:
            return 0
        port = at + ICMP_HEADER + (quoted[0] & 15) * 4
        return u16(packet, port) if u16(quoted, 6) & 0x1FFF == 0 and len(packet) >= port + 2 else 0

    def _send(self, packet: bytes, to: TableEdge, reason: Reason) -> Outcome:
        if len(packet) - ETHERNET + IPV4 > self.backbone_mtu:
            return _drop(Reason.DROP_TOO_BIG)
        return Outcome(reason, encapsulate(packet, self.own_tunnel, to.tunnel_v4 or ""))

    def _edge(self, edge_id: int) -> TableEdge | None:
        edge = self.table.edge(edge_id)
        return edge if edge and edge.tunnel_v4 else None

    def _mss_limit(self) -> int:
        return self.backbone_mtu - 2 * IPV4 - TCP

    def _vip(self) -> bytes:
        return IPv4Address(self.vip.v4 or "").packed


def _drop(reason: Reason) -> Outcome:
    return Outcome(reason, None)


def _refuse(packet: bytes, at: int, reason: Reason) -> Outcome:
    """A SYN with IP options is not answered: a reset is of another shape."""
    return Outcome(reason, reset(packet, at)) if at == ETHERNET + IPV4 else _drop(Reason.DROP_FAILED)


def _ip(packet: bytes, at: int) -> bytes | None:
    header = packet[at : at + IPV4]
    return header if len(header) == IPV4 and header[0] >> 4 == 4 and header[0] & 15 >= 5 else None


def _has_tcp(packet: bytes, ip: bytes, ip_at: int) -> bool:
    at = ip_at + (ip[0] & 15) * 4
    if len(packet) < at + TCP or packet[at + 12] >> 4 < 5:
        return False
    return at - ip_at + (packet[at + 12] >> 4) * 4 <= u16(ip, 2) <= len(packet) - ip_at


def _is_fragment(ip: bytes) -> bool:
    return u16(ip, 6) & 0x3FFF != 0
