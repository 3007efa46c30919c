"""Facts of the edge, summed over its workers: what the health endpoint and the metrics publish."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from edge.server.status.applied_services import combine_services, find_faults
from node.state.identity import NodeIdentity

COUNTS = ("sessions", "sessions_at_service_port", "handshakes")


def combine_facts(
    node: NodeIdentity, workers: Iterable[dict[str, Any]], reasons: Iterable[str] = ()
) -> dict[str, Any]:
    """Sum the facts of the workers; `reasons` are those of the edge as a whole. Any reason means degraded."""
    parts = list(workers)
    failures: Counter[str] = Counter()
    for facts in parts:
        failures.update(facts.get("failures", {}))
    found = sorted({reason for facts in parts for reason in facts.get("reasons", [])})
    found = [*reasons, *find_faults(parts), *found]
    return {
        "status": "degraded" if found else "ok",
        "reasons": found,
        "edge_id": node.edge_id,
        "draining": any(facts.get("draining", False) for facts in parts),
        **{name: sum(facts.get(name, 0) for facts in parts) for name in COUNTS},
        "failures": dict(failures),
        **combine_services(parts),
    }
