"""What is published of origins: how many there are, those that are not healthy, and the slowest: bounded lists."""

import heapq
import time
from collections.abc import Iterable
from typing import Any

from edge.origins.origin_state import OriginHealth, OriginState

LISTED_LIMIT = 100
SLOWEST_LIMIT = 8
RECENT_SECONDS = 60.0  # since the last response, after which an origin's latency is not published
CAUSE_LIMIT = 200  # characters


def describe_origins(
    origins: Iterable[tuple[str, str, OriginState]], now: float | None = None
) -> dict[str, Any]:
    """Return the facts of one worker for `(service, origin, state)`; the first unhealthy ones are listed.

    `now` is of the monotonic clock. `seconds` says for how long, `latency` after how many seconds responses begin.
    """
    now = time.monotonic() if now is None else now
    known, unhealthy = 0, 0
    listed: list[dict[str, Any]] = []
    slow: list[tuple[float, str, str]] = []
    for service, name, state in origins:
        known += 1
        latency = state.latency if now - state.answered_at <= RECENT_SECONDS else None
        if state.health is OriginHealth.HEALTHY:
            if latency is not None:
                slow.append((latency, service, name))
            continue
        unhealthy += 1
        if len(listed) < LISTED_LIMIT:
            since = now if state.unhealthy_since is None else state.unhealthy_since
            listed.append(
                {
                    "service": service,
                    "origin": name,
                    "state": str(state.health),
                    "cause": state.cause[:CAUSE_LIMIT],
                    "seconds": now - since,
                    "latency": latency,
                }
            )
    slowest = [
        {"service": service, "origin": name, "latency": latency}
        for latency, service, name in heapq.nlargest(SLOWEST_LIMIT, slow)
    ]
    return {"known": known, "unhealthy": unhealthy, "listed": listed, "slowest": slowest}


def combine_origins(workers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the facts of all workers: each origin once, with the number of workers that see it so.

    An unhealthy origin has the longest time, and any origin the highest latency, of the workers that list it.
    """
    known = unhealthy = 0
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    slow: dict[tuple[str, str], float] = {}
    for facts in workers:
        origins = facts.get("origins")
        if not origins:
            continue
        known, unhealthy = max(known, origins["known"]), max(unhealthy, origins["unhealthy"])
        for each in origins["listed"]:
            key = each["service"], each["origin"], each["state"]
            entry = found.setdefault(key, {**each, "workers": 0})
            entry["workers"] += 1
            entry["seconds"] = max(entry["seconds"], each["seconds"])
            entry["latency"] = max(entry["latency"] or 0.0, each["latency"] or 0.0) or None
        for each in origins["slowest"]:
            name = each["service"], each["origin"]
            slow[name] = max(slow.get(name, 0.0), each["latency"])
    if not known:
        return {}
    slowest = heapq.nlargest(SLOWEST_LIMIT, slow, key=lambda name: slow[name])
    return {
        "origins": {
            "known": known,
            "unhealthy": unhealthy,
            "listed": [found[key] for key in sorted(found)][:LISTED_LIMIT],
            "slowest": [
                {"service": service, "origin": origin, "latency": slow[service, origin]}
                for service, origin in slowest
            ],
        }
    }
