"""The forwarder's decisions in Python: packet in, reason and packet out. The C programs produce the same bytes.

Not modelled: routes, and neighbour lookups of redirects. Budgets are whole, or (`spent`) all used up.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

from balancer.model.place import AddressMeaning, Places
from balancer.model.reference.flow import ring_hash, ring_hash_back
from balancer.model.reference.mss import clamp_mss
from balancer.model.reference.packet import (
    IPV4,
    IPV6,
    SYN,
    TCP,
    TCP_PROTOCOL,
    Packet,
    mapped_address,
    read_frame,
    read_ip,
)
from balancer.model.reference.reply import reset, too_big
from balancer.model.reference.tunnel import (
    Ends,
    decapsulate,
    encapsulate,
    inner_at,
    lower_hop_limit,
    must_drop_congestion,
    tunnel_to,
)
from balancer.model.ring import BUCKETS, Bucket, Seed, ring_of, seeds_of
from balancer.model.table import EdgeState, Encapsulation, ForwardingTable, TableEdge
from balancer.model.verdict import Reason
from node.mark import DIRECT_TAG, INGRESS_MASK, MARK_MASK, MARK_TAG
from node.vip import Replies, Vip


@dataclass(frozen=True, slots=True)
class Outcome:
    """`packet` is sent or delivered; None if dropped. `mark` is set on delivery."""

    reason: Reason
    packet: bytes | None
    mark: int | None = None


@dataclass(frozen=True)
class ReferenceForwarder:
    """The decisions of one edge. `vips` are the node's own, added to the table's; `fresh`: the table is current;
    `spent`: every budget is used up, and no flow is known as answered."""

    own_id: int
    own: Ends
    table: ForwardingTable
    vips: tuple[Vip, ...] = ()
    backbone_mtu: int = 1500
    encapsulation: Encapsulation | None = None
    fresh: bool = True
    spent: bool = False
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", Places.of((*self.vips, *self.table.vips)))

    def outside(self, frame: bytes) -> Outcome:
        """Decide on a packet from an outside interface."""
        packet = read_frame(frame)
        place = self.places.find(packet.destination) if packet else None
        if packet is None or place is None:
            return Outcome(Reason.NOT_FOR_VIP, frame)
        if packet.fragment:
            return _drop(Reason.DROP_FRAGMENT)
        if packet.has_extension():
            return _drop(Reason.DROP_EXTENSION)
        if packet.protocol != TCP_PROTOCOL:
            return self._follow_icmp(packet, place)
        if packet.is_martian():
            return _drop(Reason.DROP_MARTIAN)
        if not packet.has_tcp():
            return _drop(Reason.DROP_TRUNCATED)
        port = packet.ports[1]
        if place.prefix and port != place.vip.service_port:
            return _drop(Reason.DROP_OTHER_PORT)
        if not place.prefix and (place.by_address or port < place.vip.id_port_base):
            return self._ring_lookup(packet, port == place.vip.service_port)
        edge_id = place.owner(port)
        if edge_id == 0:
            return _drop(Reason.DROP_ID_ZERO)
        if edge_id == self.own_id:
            return Outcome(Reason.OWN_LOCATOR, frame)
        return self._forward(packet, edge_id)

    def tunnel(self, frame: bytes) -> Outcome:
        """Decide on a packet from the backbone."""
        outer = read_frame(frame)
        if outer is None or outer.destination != self._own_end(outer.version):
            return Outcome(Reason.NOT_FOR_VIP, frame)
        try:
            contained = inner_at(outer)
            if contained is None:
                return Outcome(Reason.NOT_FOR_VIP, frame)
        except ValueError:
            contained = None
        sender = self._senders.get(outer.source)
        if sender is None or sender == self.own_id:
            return _drop(Reason.DROP_UNKNOWN_TUNNEL)
        if outer.fragment:
            return _drop(Reason.DROP_FRAGMENT)
        if contained is None or outer.has_options:
            return _drop(Reason.DROP_BAD_INNER)
        inner = read_ip(frame, contained[1], contained[0])
        if inner is None or inner.fragment or not _is_sound(inner):
            return _drop(Reason.DROP_BAD_INNER)
        if must_drop_congestion(outer, inner):
            return _drop(Reason.DROP_CONGESTION)
        if place := self.places.find(inner.destination):
            return self._deliver(outer, inner, place, sender)
        place = self.places.find(inner.source)
        if inner.protocol != TCP_PROTOCOL or place is None:
            return _drop(Reason.DROP_BAD_INNER)
        if place.owner(inner.ports[0]) != sender:
            return _drop(Reason.DROP_WRONG_SENDER)
        return Outcome(Reason.REPLY_RETURNED, decapsulate(outer, inner))

    def reply(self, frame: bytes, mark: int, arrives_by: int = 0) -> Outcome:
        """Decide on a packet that this host sends with `mark`; its flow's packets arrive by the edge `arrives_by`."""
        packet = read_frame(frame) if mark & MARK_MASK in (MARK_TAG, DIRECT_TAG) else None
        place = self.places.find(packet.source) if packet else None
        if packet is None or place is None or packet.protocol != TCP_PROTOCOL or packet.fragment:
            return Outcome(Reason.NOT_FOR_VIP, frame)
        if not packet.has_tcp() or place.owner(packet.ports[0]) != self.own_id:
            return Outcome(Reason.NOT_FOR_VIP, frame)
        if mark & MARK_MASK == DIRECT_TAG:
            return Outcome(Reason.REPLY_DIRECT, self._clamp(packet).data)
        ingress = self._edge(mark & INGRESS_MASK)
        if ingress and ingress.state is not EdgeState.DOWN:
            return self._send(packet, ingress, Reason.REPLY_FORWARDED)
        other = self._edge(arrives_by)
        if other is None:
            return _drop(Reason.DROP_INGRESS_DOWN if ingress else Reason.DROP_UNKNOWN_INGRESS)
        return self._send(
            packet, other, Reason.REPLY_FORWARDED if other is ingress else Reason.REPLY_REROUTED
        )

    def _ring_lookup(self, packet: Packet, service: bool) -> Outcome:
        """Decide on a first subflow: at a site, forward it to the owner of its bucket, or the previous owner."""
        bucket = self._find_bucket(partial(ring_hash, packet))
        owner = self._edge(self._site_owner(bucket, 0, opens=packet.opens_flow())) if service else None
        if owner is None or owner.id == self.own_id:
            return Outcome(Reason.SERVICE_PORT, packet.data)
        if self.spent:
            return _drop(Reason.DROP_SOURCE_BUDGET if packet.opens_flow() else Reason.DROP_SITE_BUDGET)
        chained = bucket is not None and bucket.owner == self.own_id
        return self._send(packet, owner, Reason.SITE_CHAINED if chained else Reason.SITE_FORWARDED)

    def _find_bucket(self, hash_flow: Callable[[Seed], int]) -> Bucket | None:
        """Return the owner by the seed, and the previous one by the previous seed; None without a ring."""
        if not self._ring:
            return None
        now, before = (self._ring[hash_flow(seed) % BUCKETS] for seed in seeds_of(self.own_id, self.table))
        return Bucket(now.owner, before.previous)

    def _site_owner(self, bucket: Bucket | None, sender: int, *, opens: bool) -> int:
        """Return the owner of a first subflow, 0 if none. Assumes that this host has no socket of it."""
        if bucket is None:
            return 0
        if bucket.owner != self.own_id:
            if not sender:
                return bucket.owner
            return self.own_id if bucket.previous == self.own_id else 0
        if opens or bucket.previous in (self.own_id, sender):
            return self.own_id
        return bucket.previous

    def _deliver_at_site(self, outer: Packet, inner: Packet, sender: int, quoted: Packet | None) -> Outcome:
        """Deliver a first subflow's packet, or an error that quotes one; or send it to the previous owner."""
        hash_flow = partial(ring_hash, inner) if quoted is None else partial(ring_hash_back, quoted)
        owner = self._site_owner(
            self._find_bucket(hash_flow), sender, opens=quoted is None and inner.opens_flow()
        )
        if owner == 0:
            return _drop(Reason.DROP_WRONG_OWNER)
        decapsulated = decapsulate(outer, inner)
        if owner == self.own_id:
            return Outcome(Reason.ICMP_DELIVERED if quoted else Reason.SITE_DELIVERED, decapsulated)
        edge = self._edge(owner)
        if edge is None:
            return _drop(Reason.DROP_WRONG_OWNER)
        if self.spent:
            return _drop(Reason.DROP_ERROR_BUDGET if quoted else Reason.DROP_SITE_BUDGET)
        lowered = lower_hop_limit(decapsulated, inner.version)
        packet = read_frame(lowered) if lowered is not None else None
        if packet is None:
            return _drop(Reason.DROP_WRONG_OWNER)
        reason = Reason.ICMP_FORWARDED if quoted else Reason.SITE_CHAINED
        return self._send(packet, edge, reason, entered=True)

    @cached_property
    def _ring(self) -> tuple[Bucket, ...]:
        return ring_of(self.own_id, self.table)

    def _forward(self, packet: Packet, edge_id: int) -> Outcome:
        opens = packet.opens_flow()
        owner = self._edge(edge_id)
        if owner is None and not opens:
            return _drop(Reason.DROP_UNKNOWN_ID)
        if owner is None:
            return (
                self._refuse_with_reset(packet, Reason.RESET_UNKNOWN_ID)
                if self.fresh
                else _drop(Reason.DROP_STALE)
            )
        if owner.state is EdgeState.DOWN and opens:
            return self._refuse_with_reset(packet, Reason.RESET_OWNER_DOWN)
        if self.spent:
            return _drop(Reason.DROP_SOURCE_BUDGET if opens else Reason.DROP_NOT_ADMITTED)
        return self._send(packet, owner, Reason.FORWARDED)

    def _deliver(self, outer: Packet, inner: Packet, place: AddressMeaning, sender: int) -> Outcome:
        if inner.protocol != TCP_PROTOCOL:
            quoted = inner.quoted()
            if quoted is None:
                return _drop(Reason.DROP_BAD_INNER)
            if self._is_ring_port(place, quoted.ports[0]):
                return self._deliver_at_site(outer, inner, sender, quoted)
            if place.owner(quoted.ports[0]) != self.own_id:
                return _drop(Reason.DROP_BAD_INNER)
            return Outcome(Reason.ICMP_DELIVERED, decapsulate(outer, inner), _arrival_mark(place, sender))
        if self._is_ring_port(place, inner.ports[1]):
            return self._deliver_at_site(outer, inner, sender, None)
        if place.owner(inner.ports[1]) != self.own_id:
            return _drop(Reason.DROP_WRONG_OWNER)
        return Outcome(Reason.DELIVERED, decapsulate(outer, inner), _arrival_mark(place, sender))

    def _follow_icmp(self, packet: Packet, place: AddressMeaning) -> Outcome:
        quoted = packet.quoted()
        if quoted is None:
            return self._leave_to_kernel(packet, place)
        ring = self._is_ring_port(place, quoted.ports[0])
        if ring:
            edge_id = self._site_owner(self._find_bucket(partial(ring_hash_back, quoted)), 0, opens=False)
        else:
            edge_id = place.owner(quoted.ports[0])
        if edge_id in (0, self.own_id):
            return self._leave_to_kernel(packet, place)
        owner = self._edge(edge_id)
        if owner is None:
            return Outcome(Reason.NOT_FOR_VIP, packet.data) if ring else _drop(Reason.DROP_UNKNOWN_ID)
        if packet.is_martian():
            return _drop(Reason.DROP_MARTIAN)
        return (
            _drop(Reason.DROP_ERROR_BUDGET)
            if self.spent
            else self._send(packet, owner, Reason.ICMP_FORWARDED)
        )

    def _is_ring_port(self, place: AddressMeaning, port: int) -> bool:
        return bool(self._ring) and not place.prefix and port == place.vip.service_port

    def _leave_to_kernel(self, packet: Packet, place: AddressMeaning) -> Outcome:
        """Another edge's address is not here: the kernel would send the packet back to where it came from."""
        if place.prefix and place.id != self.own_id:
            return _drop(Reason.DROP_NOT_TCP)
        return Outcome(Reason.NOT_FOR_VIP, packet.data)

    def _send(self, packet: Packet, to: TableEdge, reason: Reason, *, entered: bool = False) -> Outcome:
        """Send by the tunnel to an edge; what has `entered` at another edge was clamped there."""
        tunnel = tunnel_to(self.own, to, self.encapsulation)
        assert tunnel is not None, "_edge returns only edges with a tunnel"
        if len(packet.data) - packet.l3 + tunnel.outer > self.backbone_mtu:
            if packet.protocol != TCP_PROTOCOL or packet.has_options or reason is Reason.SITE_CHAINED:
                return _drop(Reason.DROP_TOO_BIG)
            if self.spent:
                return _drop(Reason.DROP_ANSWER_BUDGET)
            return Outcome(Reason.ICMP_TOO_BIG, too_big(packet, self.backbone_mtu - tunnel.outer))
        return Outcome(reason, encapsulate(packet if entered else self._clamp(packet), tunnel))

    def _clamp(self, packet: Packet) -> Packet:
        """Clamp the MSS so that full-size segments fit into every tunnel."""
        if packet.protocol != TCP_PROTOCOL or not packet.flags & SYN:
            return packet
        header = IPV4 if packet.version == 4 else IPV6
        return _replace_data(packet, clamp_mss(packet, self.backbone_mtu - self.overhead - header - TCP))

    @cached_property
    def overhead(self) -> int:
        """Size of the largest outer header in the table, in bytes."""
        tunnels = (tunnel_to(self.own, edge, self.encapsulation) for edge in self.table.edges)
        return max((tunnel.outer for tunnel in tunnels if tunnel), default=IPV4)

    @cached_property
    def _senders(self) -> dict[bytes, int]:
        return {
            mapped_address(text): edge.id
            for edge in self.table.edges
            for text in (edge.tunnel_v4, edge.tunnel_v6)
            if text
        }

    def _refuse_with_reset(self, packet: Packet, reason: Reason) -> Outcome:
        """Refuse a SYN with a reset; one with IP options is dropped."""
        if self.spent:
            return _drop(Reason.DROP_ANSWER_BUDGET)
        return _drop(Reason.DROP_FAILED) if packet.has_options else Outcome(reason, reset(packet))

    def _own_end(self, version: int) -> bytes | None:
        text = self.own.v4 if version == 4 else self.own.v6
        return mapped_address(text) if text else None

    def _edge(self, edge_id: int) -> TableEdge | None:
        edge = self.table.edge(edge_id)
        return edge if edge and tunnel_to(self.own, edge) else None


def _is_sound(inner: Packet) -> bool:
    return inner.has_tcp() if inner.protocol == TCP_PROTOCOL else inner.carries_icmp()


def _arrival_mark(place: AddressMeaning, sender: int) -> int:
    return (DIRECT_TAG if place.vip.replies is Replies.DIRECT else MARK_TAG) | sender


def _drop(reason: Reason) -> Outcome:
    return Outcome(reason, None)


def _replace_data(packet: Packet, data: bytes) -> Packet:
    read = read_ip(data, packet.l3, packet.version)
    assert read is not None, "only TCP options changed"
    return read
