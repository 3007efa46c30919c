"""Counts per service of one worker: they only grow, and are summed over workers and edges."""

import time
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

DEFAULT_SERVICE = "default"  # of an edge without services from the control plane
NO_SERVICE = "none"  # of requests that were refused before their service was known
# upper bounds in seconds of the buckets of an origin's latency; the last bucket has none
LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STATUS_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")  # none: the client left before a status was sent
# why handshakes fail: at the edge's bounds, while it drains, in time, by the connection, by the client without another
# of these reasons, by keys or hashes that disagree at either end (an attacker, or a fault), by TLS or a certificate at
# either end, by algorithms and versions, and by messages that are not valid
HANDSHAKE_REASONS = (
    "overloaded",
    "draining",
    "timeout",
    "connection-lost",
    "client-aborted",
    "mismatch",
    "certificate",
    "unsupported",
    "invalid",
)
Counts = dict[str, Any]


class ServiceFigures:
    """What one service did here since the worker's start."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "exemplar",
        "handshake_failures",
        "hits",
        "incomplete",
        "log_share",
        "name",
        "open_sessions",
        "open_streams",
        "origin_failures",
        "origin_latency",
        "origin_requests",
        "origin_seconds",
        "requests",
        "session_seconds",
        "sessions",
        "sessions_counted_at",
        "shield_failures",
        "shield_requests",
        "shielded_hits",
        "shielded_requests",
        "statuses",
        "stream_ends",
    )

    def __init__(self, name: str, log_share: float = 1.0) -> None:
        self.name = name
        self.log_share = log_share  # of the requests, in the access log
        self.requests = 0
        self.hits = 0
        self.incomplete = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.statuses = [0] * len(STATUS_CLASSES)
        self.origin_requests = 0
        self.origin_failures = 0
        self.shield_requests = 0  # to the edges that shield the service
        self.shield_failures = 0
        self.shielded_requests = 0  # of other edges, which count their clients' themselves
        self.shielded_hits = 0
        self.open_streams = 0
        # request id, seconds, and time since the epoch of the last request to an origin
        self.exemplar: tuple[str, float, float] | None = None
        self.stream_ends: dict[str, int] = {}  # of kind tcp, by why they ended
        self.sessions = 0
        self.open_sessions = 0
        self.session_seconds = 0.0  # sum over the sessions of how long each has been open
        self.sessions_counted_at = 0.0  # time of the monotonic clock that this sum is of
        self.handshake_failures = [0] * len(HANDSHAKE_REASONS)
        self.origin_seconds = 0.0
        self.origin_latency = [0] * (len(LATENCY_BOUNDS) + 1)

    def count_hit(self, status: int, size: int) -> None:
        """Count a response of `size` bytes from the cache."""
        self.requests += 1
        self.hits += 1
        self.bytes_out += size
        self.statuses[status // 100] += 1

    def count_origin(self, seconds: float, *, failed: bool) -> None:
        """Count one request to an origin, and the time until its head or its failure."""
        self.origin_requests += 1
        self.origin_failures += failed
        self.origin_seconds += seconds
        self.origin_latency[bisect_left(LATENCY_BOUNDS, seconds)] += 1

    def count_shield(self, *, failed: bool) -> None:
        """Count one request to the edge that shields the service."""
        self.shield_requests += 1
        self.shield_failures += failed

    def begin_session(self) -> None:
        self._sum_sessions()
        self.sessions += 1
        self.open_sessions += 1

    def end_session(self) -> None:
        self._sum_sessions()
        self.open_sessions -= 1

    def _sum_sessions(self) -> None:
        now = time.monotonic()
        self.session_seconds += self.open_sessions * (now - self.sessions_counted_at)
        self.sessions_counted_at = now

    def as_counts(self) -> Counts:
        self._sum_sessions()
        return {
            "requests": self.requests,
            "hits": self.hits,
            "incomplete": self.incomplete,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "statuses": list(self.statuses),
            "origin_requests": self.origin_requests,
            "origin_failures": self.origin_failures,
            "stream_ends": dict(self.stream_ends),
            "shield_requests": self.shield_requests,
            "shield_failures": self.shield_failures,
            "shielded_requests": self.shielded_requests,
            "shielded_hits": self.shielded_hits,
            "sessions": self.sessions,
            "session_seconds": self.session_seconds,
            "handshake_failures": list(self.handshake_failures),
            "origin_seconds": self.origin_seconds,
            "origin_latency": list(self.origin_latency),
        }


class Figures:
    """Figures by service. Names come from the configuration, which bounds their number."""

    def __init__(self, log_share: float = 1.0) -> None:
        """`log_share` is the share of all requests that are logged, of which services log a share of their own."""
        self._services: dict[str, ServiceFigures] = {}
        self._log_share = log_share
        self._shares: Mapping[str, float] = {}

    def set_log_shares(self, shares: Mapping[str, float]) -> None:
        """Set the shares of services; those that are not named log all."""
        self._shares = shares
        for figures in self._services.values():
            figures.log_share = self._share_of(figures.name)

    def _share_of(self, name: str) -> float:
        return self._log_share * self._shares.get(name, 1.0)

    def of_service(self, name: str) -> ServiceFigures:
        found = self._services.get(name)
        if found is None:
            found = self._services[name] = ServiceFigures(name, self._share_of(name))
        return found

    def open_streams(self) -> dict[str, int]:
        """Return how many streams of each service of kind tcp are open now."""
        return {name: each.open_streams for name, each in self._services.items() if each.open_streams}

    def open_sessions(self) -> dict[str, int]:
        """Return how many sessions of each service are open now."""
        return {name: each.open_sessions for name, each in self._services.items() if each.open_sessions}

    def exemplars(self) -> dict[str, tuple[str, float, float]]:
        """Return request id, seconds and time of the last request to an origin, by service."""
        return {name: each.exemplar for name, each in self._services.items() if each.exemplar is not None}

    def as_counts(self) -> dict[str, Counts]:
        return {name: figures.as_counts() for name, figures in self._services.items()}


def add_counts(left: Any, right: Any) -> Any:
    """Add counts of the same form: numbers, lists and dictionaries of them; what one side lacks counts as zero."""
    if isinstance(left, dict):
        names = [*left, *(name for name in right if name not in left)]
        return {
            name: add_counts(left[name], right[name])
            if name in left and name in right
            else left.get(name, right.get(name))
            for name in names
        }
    if isinstance(left, list):
        longer, shorter = (left, right) if len(left) >= len(right) else (right, left)
        return [value + (shorter[at] if at < len(shorter) else 0) for at, value in enumerate(longer)]
    return left + right
