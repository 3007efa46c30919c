"""Facts of the edge, summed over its workers: what the health endpoint and the metrics publish."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from edge.origins.published_health import combine_origins
from edge.server.status.applied_services import combine_services, find_faults
from edge.telemetry.figures import add_counts
from node.state.identity import NodeIdentity

COUNTS = ("sessions", "sessions_at_service_port", "handshakes")
GROWING = ("failures", "figures", "access_log", "traces")  # counts that only grow, also when a worker ends


def combine_facts(
    node: NodeIdentity, workers: Iterable[dict[str, Any]], reasons: Iterable[str] = ()
) -> dict[str, Any]:
    """Sum the facts of the workers; `reasons` are those of the edge as a whole. Any reason means degraded."""
    parts = list(workers)
    growing: dict[str, Any] = {"failures": {}, "figures": {}}
    open_sessions: Counter[str] = Counter()
    open_streams: Counter[str] = Counter()
    exemplars: dict[str, Any] = {}
    for facts in parts:
        growing = add_counts(growing, growing_counts(facts))
        open_sessions.update(facts.get("open_sessions", {}))
        open_streams.update(facts.get("open_streams", {}))
        for name, exemplar in facts.get("exemplars", {}).items():
            exemplars[name] = max(exemplars.get(name, exemplar), exemplar, key=lambda each: each[2])
    found = sorted({reason for facts in parts for reason in facts.get("reasons", [])})
    found = [*reasons, *find_faults(parts), *found]
    return {
        "status": "degraded" if found else "ok",
        "reasons": found,
        "edge_id": node.edge_id,
        "draining": any(facts.get("draining", False) for facts in parts),
        **{name: sum(facts.get(name, 0) for facts in parts) for name in COUNTS},
        "open_sessions": dict(open_sessions),
        "open_streams": dict(open_streams),
        "exemplars": exemplars,
        **growing,
        **combine_services(parts),
        **combine_origins(parts),
    }


def growing_counts(facts: dict[str, Any]) -> dict[str, Any]:
    """Return those counts that must not go back when a worker ends."""
    return {name: facts[name] for name in GROWING if name in facts}
