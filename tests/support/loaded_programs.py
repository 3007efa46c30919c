"""The forwarder's programs with a small table, run on packets by BPF_PROG_TEST_RUN."""

import struct
from dataclasses import dataclass, replace
from typing import Any

from packets import VIP, VIP6

from balancer.datapath.maps.generation import OUTER, Generations, map_content
from balancer.datapath.maps.layout import (
    BY_XDP,
    CONFIG,
    COUNTER,
    HOP,
    ID,
    NO_LIMITS,
    OWNER_BUDGET,
    Budgets,
    ForwarderConfig,
)
from balancer.datapath.maps.live_words import Live
from balancer.datapath.maps.pins import SIZES
from balancer.model.reference.decision import ReferenceForwarder
from balancer.model.reference.packet import mapped_address
from balancer.model.reference.tunnel import Ends
from balancer.model.table import EdgeState, Encapsulation, ForwardingTable, Member, Site, TableEdge
from balancer.model.verdict import Reason
from node.vip import Locator, Replies, Vip
from runtime.bpf.maps import Map, possible_cpus
from runtime.bpf.program_run import run_once

VIPS = (
    Vip("main", VIP, VIP6),
    Vip("second", "203.0.113.2", None, 8443, id_port_base=20000, replies=Replies.DIRECT),
    Vip("address", "198.18.7.0", "2001:db8:a::", locator=Locator.ADDRESS),
    Vip("mixed", "203.0.113.4", "2001:db8:e::", locator=Locator.MIXED),
)
TABLE = ForwardingTable(
    1,
    VIPS,
    (
        TableEdge(1, "edge1", "10.255.0.1", "2001:db8:b::1"),
        TableEdge(2, "edge2", "10.255.0.2", "2001:db8:b::2"),
        TableEdge(3, "edge3", "10.255.0.3", None, EdgeState.DOWN),
        TableEdge(4, "edge4", None, "2001:db8:b::4"),
        TableEdge(5, "edge5", "10.255.0.5", None, encapsulation=Encapsulation.GUE),
        TableEdge(6, "edge6", None, "2001:db8:b::6", encapsulation=Encapsulation.GUE),
    ),
)
AT_A_SITE = replace(
    TABLE,
    sites=(
        Site("a", (Member(1), Member(2), Member(4)), (Member(1), Member(2), Member(5))),
        Site("b", (Member(3),)),
    ),
)
OWN = Ends("10.255.0.1", "2001:db8:b::1")
REFERENCE = ReferenceForwarder(1, OWN, TABLE)
MARK_AT = 8  # of mark in struct __sk_buff
CONTEXT = 192
SEED = 7
XDP_PASS = 2
HARDWARE = bytes.fromhex("02000000005e02000000000e")  # the next hop's, and the backbone's own
NEVER_EXPIRES = 2**63


@dataclass
class Ran:
    """What a program did with a packet."""

    reason: Reason
    action: int
    packet: bytes
    mark: int


class Programs:
    """Run one program on one packet; the reason is read from the counters."""

    hardware = HARDWARE

    def __init__(self, loaded: Any) -> None:
        self.loaded = loaded
        self._counters = Map(loaded.maps["counters"], ID.size, COUNTER.size * possible_cpus())
        self._config = Map(loaded.maps["config_map"], ID.size, CONFIG.size)
        outer = {name: Map(loaded.maps[name], *SIZES[name]) for name in OUTER}
        self.live = Live(Map(loaded.maps["live_map"], ID.size, 0))
        self._generations = Generations(outer, self.live)
        self.allow(NO_LIMITS)
        self.put(REFERENCE)

    def put(self, reference: ReferenceForwarder) -> None:
        """Make the programs the ones that `reference` models."""
        self._generations.activate(
            map_content(reference.table, 1, OWN, reference.vips, reference.encapsulation)
        )
        self.live.words.fresh_until = 2**63 if reference.fresh else 0

    def allow(self, budgets: Budgets) -> None:
        """Set budgets; what was spent before is forgotten."""
        config = ForwarderConfig(1, OWN, 1, 1, 1500, budgets, seed=SEED)
        self._config.put(ID.pack(0), config.pack())
        zero = {"answer_budget": [0], "owner_budgets": range(8), "quiet_budgets": range(8)}
        for name, keys in zero.items():
            size = {"owner_budgets": OWNER_BUDGET.size, "quiet_budgets": 8 * possible_cpus()}.get(name, 8)
            for key in keys:
                self.map(name, size).put(ID.pack(key), bytes(size))

    def spend_all(self) -> None:
        """Use every budget up; `allow` gives them back."""
        config = ForwarderConfig(1, OWN, 1, 1, 1500, Budgets(1, 1, 1, 1, 1, 1), seed=SEED)
        fields = list(CONFIG.unpack(config.pack()))
        fields[10] = fields[14] = 0  # no share passes unchecked
        self._config.put(ID.pack(0), CONFIG.pack(*fields))
        never = NEVER_EXPIRES.to_bytes(8, "little")
        self.map("answer_budget", 8).put(ID.pack(0), never)
        for key in range(8):
            self.map("owner_budgets", OWNER_BUDGET.size).put(ID.pack(key), never * (OWNER_BUDGET.size // 8))
        sources = self.map("source_budgets", 8)
        sources.put_all([(ID.pack(key), never) for key in range(65536)])
        flows = self.map("admitted", 4)
        flows.put_all([(ID.pack(key), bytes(4)) for key in range(524288)])

    def map(self, name: str, value_size: int) -> Map:
        return Map(self.loaded.maps[name], ID.size, value_size)

    def run(self, program: str, packet: bytes, mark: int = 0) -> Ran:
        before = self._count()
        context = bytearray(CONTEXT)
        struct.pack_into("=I", context, MARK_AT, mark)
        action, after, out = run_once(self.loaded.programs[program], packet, bytes(context))
        grown = [reason for reason, count in self._count().items() if count > before[reason]]
        assert len(grown) == 1, f"one packet was counted under {grown}"
        return Ran(grown[0], action, after, struct.unpack_from("=I", out, MARK_AT)[0])

    def run_fast(self, packet: bytes) -> Ran | None:
        """Run the fast path; None if it passed the packet up, as it came and uncounted."""
        before, by_tc = self._count(BY_XDP), self._count()
        action, after, _ = run_once(self.loaded.programs["outside_xdp"], packet)
        grown = {
            reason: now - before[reason]
            for reason, now in self._count(BY_XDP).items()
            if now != before[reason]
        }
        assert self._count() == by_tc
        if action == XDP_PASS:
            assert (grown, after) == ({}, packet)
            return None
        assert list(grown.values()) == [1], f"one packet was counted as {grown}"
        return Ran(next(iter(grown)), action, after, 0)

    def know_next_hops(self) -> None:
        """As if the routes had named the way to every edge."""
        hops = Map(self.loaded.maps["hops"], ID.size, HOP.size)
        for edge in TABLE.edges:
            end = edge.tunnel_v4 or edge.tunnel_v6  # as tunnel_to chooses
            assert end
            hops.put(
                ID.pack(edge.id), HOP.pack(NEVER_EXPIRES, mapped_address(end), HARDWARE) * possible_cpus()
            )

    def forget_next_hops(self) -> None:
        hops = Map(self.loaded.maps["hops"], ID.size, HOP.size)
        for edge in TABLE.edges:
            hops.put(ID.pack(edge.id), bytes(HOP.size * possible_cpus()))

    def _count(self, first: int = 0) -> dict[Reason, int]:
        found = {}
        for reason in Reason:
            values = COUNTER.iter_unpack(self._counters.get(ID.pack(first + reason)) or b"")
            found[reason] = sum(packets for packets, _ in values)
        return found
