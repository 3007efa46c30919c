"""What is published of origins: how many there are, and those that are not healthy, a bounded list."""

from collections.abc import Iterable
from typing import Any

from edge.origins.origin_state import OriginHealth, OriginState

LISTED_LIMIT = 100
CAUSE_LIMIT = 200  # characters


def describe_origins(origins: Iterable[tuple[str, str, OriginState]]) -> dict[str, Any]:
    """Return the facts of one worker for `(service, origin, state)`; the first unhealthy ones are listed."""
    known = 0
    unhealthy = []
    for service, name, state in origins:
        known += 1
        if state.health is not OriginHealth.HEALTHY:
            unhealthy.append(
                {
                    "service": service,
                    "origin": name,
                    "state": str(state.health),
                    "cause": state.cause[:CAUSE_LIMIT],
                }
            )
    return {"known": known, "unhealthy": len(unhealthy), "listed": unhealthy[:LISTED_LIMIT]}


def combine_origins(workers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the facts of all workers: each origin once, with the number of workers that see it so."""
    known = unhealthy = 0
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for facts in workers:
        origins = facts.get("origins")
        if not origins:
            continue
        known, unhealthy = max(known, origins["known"]), max(unhealthy, origins["unhealthy"])
        for each in origins["listed"]:
            key = each["service"], each["origin"], each["state"]
            entry = found.setdefault(key, {**each, "workers": 0})
            entry["workers"] += 1
    listed = [found[key] for key in sorted(found)][:LISTED_LIMIT]
    return {"origins": {"known": known, "unhealthy": unhealthy, "listed": listed}} if known else {}
