"""The loaded programs with a small table, driven through BPF_PROG_TEST_RUN."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from balancer.datapath.bpf import Map, possible_cpus, run_once
from balancer.datapath.follow import apply
from balancer.datapath.layout import CONFIG, COUNTER, EDGE, ID, ForwarderConfig
from balancer.model.decision import Forwarder
from balancer.model.table import EdgeState, ForwardingTable, TableEdge, Vip
from balancer.model.verdict import Reason

VIP = Vip("main", "203.0.113.1", None)
TABLE = ForwardingTable(
    1,
    (VIP,),
    (
        TableEdge(1, "edge1", "10.255.0.1", None),
        TableEdge(2, "edge2", "10.255.0.2", None),
        TableEdge(3, "edge3", "10.255.0.3", None, EdgeState.DOWN),
    ),
)
REFERENCE = Forwarder(1, "10.255.0.1", VIP, TABLE)
MARK_AT = 8  # of mark in struct __sk_buff
CONTEXT = 192


@dataclass
class Ran:
    """What a program did with a packet."""

    reason: Reason
    action: int
    packet: bytes
    mark: int


class Programs:
    """Run one program on one packet; the reason is read from the counters."""

    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded
        self._counters = Map(loaded.maps["counters"], ID.size, COUNTER.size * possible_cpus())
        self._budget = Map(loaded.maps["reset_budget"], ID.size, 8)

    def run(self, program: str, packet: bytes, mark: int = 0) -> Ran:
        self._budget.put(ID.pack(0), bytes(8))
        before = self._count()
        context = bytearray(CONTEXT)
        struct.pack_into("=I", context, MARK_AT, mark)
        action, after, out = run_once(self._loaded.programs[program], packet, bytes(context))
        grown = [reason for reason, count in self._count().items() if count > before[reason]]
        assert len(grown) == 1, f"one packet was counted under {grown}"
        return Ran(grown[0], action, after, struct.unpack_from("=I", out, MARK_AT)[0])

    def _count(self) -> dict[Reason, int]:
        found = {}
        for reason in Reason:
            values = COUNTER.iter_unpack(self._counters.get(ID.pack(reason)) or b"")
            found[reason] = sum(packets for packets, _ in values)
        return found


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    from balancer.datapath.compile import compile_and_load

    loaded = compile_and_load()
    config = ForwarderConfig("203.0.113.1", "10.255.0.1", 1, 1, 1, 443, 10000, 1500)
    Map(loaded.maps["config_map"], ID.size, CONFIG.size).put(ID.pack(0), config.pack())
    apply(
        TABLE,
        Map(loaded.maps["edges"], ID.size, EDGE.size),
        Map(loaded.maps["tunnels"], ID.size, ID.size),
    )
    return Programs(loaded)


@pytest.fixture(scope="session")
def reference() -> Forwarder:
    return REFERENCE
