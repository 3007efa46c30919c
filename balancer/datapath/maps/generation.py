"""Write a generation of the table to the inactive slot of the maps, then activate it by storing one word.

A packet reads that word once, so it sees one complete generation. Maps of the previous generation stay until the
next but one. Edges are in one map, one half per slot: before a half is rewritten, the kernel has waited until no
program can still read it.
"""

import mmap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from balancer.datapath.maps.layout import BUCKET, EDGE, FIRST_VIP, ID, VIP, VIP_KEY, pack_edge
from balancer.datapath.maps.live_words import Live
from balancer.model.place import Places
from balancer.model.reference.packet import V4_PREFIX, mapped_address
from balancer.model.reference.tunnel import Ends, Tunnel, tunnel_to
from balancer.model.ring import Seed, ring_of, seeds_of
from balancer.model.table import Encapsulation, ForwardingTable
from node.vip import Locator, Replies, Vip
from runtime.bpf.maps import ARRAY, HASH, Map, create_map
from smkex.core.wire.messages import LocatorKind

ADDRESS_BYTES = 16
NOWHERE = mapped_address("::")
IDS = 65536
HALF = IDS * EDGE.size  # bytes of one slot in the edges map
assert EDGE.size % 8 == 0, "the kernel aligns array values to 8 bytes"


@dataclass(frozen=True, slots=True)
class MapContent:
    """The elements of one edge's maps for one generation."""

    edges: tuple[tuple[int, bytes], ...]
    tunnels: tuple[tuple[bytes, bytes], ...]
    vips: tuple[tuple[bytes, bytes], ...]
    first_vip: bytes
    ring: tuple[tuple[bytes, bytes], ...]
    prefixes: bool
    overhead: int


def map_content(
    table: ForwardingTable,
    edge_id: int,
    own: Ends,
    vips: tuple[Vip, ...],
    encapsulation: Encapsulation | None,
) -> MapContent:
    """Compute the maps' elements. Edges without a common address family are omitted."""
    edges: list[tuple[int, bytes]] = []
    senders: dict[bytes, bytes] = {}
    overhead = Tunnel(4, b"", b"", False).outer
    for edge in table.edges:
        if tunnel := tunnel_to(own, edge, encapsulation):
            edges.append((edge.id, pack_edge(tunnel, edge.state)))
            overhead = max(overhead, tunnel.outer)
        for end in (edge.tunnel_v4, edge.tunnel_v6):
            if end:
                senders[mapped_address(end)] = ID.pack(edge.id)
    places = Places.of((*vips, *table.vips))
    meant = {VIP_KEY.pack(address, 0): _pack_vip(vip, address) for address, vip in places.exact.items()}
    meant |= {VIP_KEY.pack(prefix, 1): _pack_vip(vip, prefix) for prefix, vip in places.prefixes.items()}
    return MapContent(
        tuple(edges),
        tuple(senders.items()),
        tuple(meant.items()),
        _pack_first(places.vips[0] if places.vips else None, seeds_of(edge_id, table)),
        tuple(
            (ID.pack(number), BUCKET.pack(bucket.owner, bucket.previous))
            for number, bucket in enumerate(ring_of(edge_id, table))
        ),
        bool(places.prefixes),
        overhead,
    )


def _pack_first(vip: Vip | None, seeds: tuple[Seed, Seed]) -> bytes:
    words = (word for seed in seeds for word in seed)
    if vip is None:
        return FIRST_VIP.pack(b"", b"", 0, 0, 0, *words)
    v4, v6 = (mapped_address(text) if text else NOWHERE for text in (vip.v4, vip.v6))
    if vip.locator is Locator.MIXED:
        v6 = NOWHERE  # it has an element of its own, which says that locators are addresses
    return FIRST_VIP.pack(v4, v6, *VIP.unpack(_pack_vip(vip, v4)), *words)


def _pack_vip(vip: Vip, address: bytes) -> bytes:
    kind = vip.locator_kind(4 if address.startswith(V4_PREFIX) else 6)
    base = 0 if kind is LocatorKind.ADDRESS else vip.id_port_base
    return VIP.pack(vip.service_port, base, vip.replies is Replies.DIRECT)


_Elements = TypeVar("_Elements")


OUTER = ("edges", "tunnels", "vips", "rings", "first_vips")  # maps with two slots


class Generations:
    """The maps with two slots, by name, and the word that selects the active one."""

    def __init__(self, outer: dict[str, Map], live: Live) -> None:
        self._outer = outer
        self._edges = mmap.mmap(outer["edges"].descriptor, 2 * HALF)
        # content of each slot, as far as this process wrote it
        self._held: dict[tuple[str, int], object] = {}
        self.live = live

    def activate(self, new: MapContent) -> None:
        """Write and activate a generation. On OSError the old one stays active."""
        words = self.live.words
        slot = 1 - words.slot
        if self._held.get(("edges", slot)) != new.edges:
            self._held.pop(("tunnels", slot), None)  # forces a replacement, which waits for readers
        self._replace("tunnels", slot, new.tunnels, lambda held: _filled_hash(ADDRESS_BYTES, ID.size, held))
        if self._held.get(("edges", slot)) != new.edges:
            self._edges[slot * HALF : (slot + 1) * HALF] = _pack_slot(new.edges)
            self._held["edges", slot] = new.edges
        self._replace("vips", slot, new.vips, lambda held: _filled_hash(VIP_KEY.size, VIP.size, held))
        if new.ring:
            self._replace("rings", slot, new.ring, _filled_ring)
        self._outer["first_vips"].put(ID.pack(slot), new.first_vip)
        # Until the slot changes, the old generation sees both values: an extra lookup, slightly smaller segments.
        words.prefixes |= int(new.prefixes)
        words.overhead = max(words.overhead, new.overhead)
        words.ring &= int(bool(new.ring))
        words.slot, words.ready = slot, 1
        words.prefixes, words.overhead = int(new.prefixes), new.overhead
        words.ring = int(bool(new.ring))

    def _replace(self, name: str, slot: int, elements: _Elements, make: Callable[[_Elements], Map]) -> None:
        """Replace an inner map if its elements changed: the kernel waits some 10 ms for readers of the old one."""
        if self._held.get((name, slot)) == elements:
            return
        inner = make(elements)
        try:
            self._outer[name].put(ID.pack(slot), ID.pack(inner.descriptor))
        finally:
            inner.close()
        self._held[name, slot] = elements

    def close(self) -> None:
        self._edges.close()
        for outer in self._outer.values():
            outer.close()
        self.live.close()


def _pack_slot(edges: tuple[tuple[int, bytes], ...]) -> bytearray:
    """Return one slot of the edges map, indexed by id: 50,000 edges in a few milliseconds."""
    memory = bytearray(HALF)
    for edge_id, value in edges:
        memory[edge_id * EDGE.size : (edge_id + 1) * EDGE.size] = value
    return memory


def _filled_hash(key: int, value: int, elements: Iterable[tuple[bytes, bytes]]) -> Map:
    held = list(elements)
    table = create_map(HASH, key, value, max(1, len(held)))
    table.put_all(held)
    return table


def _filled_ring(buckets: tuple[tuple[bytes, bytes], ...]) -> Map:
    array = create_map(ARRAY, ID.size, BUCKET.size, len(buckets))
    array.put_all(buckets)
    return array
