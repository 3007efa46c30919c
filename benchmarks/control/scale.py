"""What grows with the fleet: the table's size and reading, and the share of sessions whose second path is forwarded."""

import gzip
import json
import time

from balancer.model.table import EdgeState, ForwardingTable, TableEdge
from benchmarks.control.catchments import count_forwarded, make_world
from benchmarks.measurement.result import Curve, Measured
from node.vip import Vip

FLEETS = (10, 100, 1_000, 10_000, 50_000)


def measure() -> list[Measured]:
    tables = {edges: _make_table(edges) for edges in FLEETS}
    texts = {edges: json.dumps(table.to_json()).encode() for edges, table in tables.items()}
    cities = make_world()
    shares = {edges: count_forwarded(cities, edges) for edges in FLEETS}
    return [
        Curve(
            "forwarding table, bytes",
            "edges",
            "bytes",
            {
                "JSON": [(edges, len(text)) for edges, text in texts.items()],
                "gzip": [(edges, len(gzip.compress(text, 6))) for edges, text in texts.items()],
            },
        ),
        Curve(
            "forwarding table, read and checked",
            "edges",
            "ms",
            {"ForwardingTable.from_json": [(edges, _time_reading(text)) for edges, text in texts.items()]},
        ),
        Curve(
            "sessions whose second path is forwarded (simulated)",
            "edges",
            "share",
            {
                "to another edge": [(edges, share.anywhere) for edges, share in shares.items()],
                "to another city": [(edges, share.far) for edges, share in shares.items()],
            },
        ),
    ]


def _make_table(edges: int) -> ForwardingTable:
    return ForwardingTable(
        generation=edges,
        vips=(Vip("main", "203.0.113.1", "2001:db8::1"),),
        edges=tuple(
            TableEdge(
                number,
                f"edge{number}",
                f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
                None,
                EdgeState.UP,
            )
            for number in range(1, edges + 1)
        ),
    )


def _time_reading(text: bytes) -> float:
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        ForwardingTable.from_json(json.loads(text))
        best = min(best, time.perf_counter() - started)
    return best * 1000
