"""What live edges report of origins, by service and origin: kept up to date with each heartbeat."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from balancer.api.origins import OriginAtEdge, OriginReport, OriginsReport, OriginsView, OriginView
from balancer.control.clock import Clock

VIEWS_LIMIT = 200
EDGES_SHOWN = 20
HEALTHY = "healthy"
OriginKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Noted:
    report: OriginReport
    at: datetime


class OriginBoard:
    """The newest report of each live edge; at most 40 origins of each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origins: dict[OriginKey, dict[int, _Noted]] = {}
        self._reported: dict[int, list[OriginKey]] = {}

    def note(self, edge_id: int, report: OriginsReport | None) -> None:
        """Record a heartbeat's report in place of the one before; None: the edge says nothing of origins."""
        self.forget(edge_id)
        if report is None:
            return
        now = self._clock.now()
        keys = self._reported[edge_id] = []
        for each in report.listed:
            key = each.service, each.origin
            noted = self._origins.setdefault(key, {})
            if edge_id not in noted:  # a worker may see it ejected while another sees it ill
                noted[edge_id] = _Noted(each, now)
                keys.append(key)

    def forget(self, edge_id: int) -> None:
        """Drop an edge whose lease has ended."""
        for key in self._reported.pop(edge_id, ()):
            noted = self._origins[key]
            del noted[edge_id]
            if not noted:
                del self._origins[key]

    def view(self, service: str | None = None) -> OriginsView:
        """Return what is known of the origins of a service, or of all."""
        ranked = sorted(
            (
                (-_count_unhealthy(noted), -_highest_latency(noted), key)
                for key, noted in self._origins.items()
                if service is None or key[0] == service
            ),
        )
        return OriginsView(
            edges=len(self._reported),
            unhealthy=sum(1 for unhealthy, _, _ in ranked if unhealthy),
            items=[self._view_origin(key, -unhealthy) for unhealthy, _, key in ranked[:VIEWS_LIMIT]],
        )

    def _view_origin(self, key: OriginKey, unhealthy: int) -> OriginView:
        noted = self._origins[key]
        order = sorted(
            noted,
            key=lambda edge: (noted[edge].report.state == HEALTHY, -(noted[edge].report.latency or 0), edge),
        )
        return OriginView(
            service=key[0],
            origin=key[1],
            unhealthy_edges=unhealthy,
            latency=_highest_latency(noted) or None,
            edges=[_view_at_edge(edge, noted[edge]) for edge in order[:EDGES_SHOWN]],
        )


def _view_at_edge(edge_id: int, noted: _Noted) -> OriginAtEdge:
    report = noted.report
    since = None if report.state == HEALTHY else _time_before(noted.at, report.seconds)
    return OriginAtEdge(
        edge_id=edge_id, state=report.state, cause=report.cause, since=since, latency=report.latency
    )


def _time_before(at: datetime, seconds: float) -> datetime:
    return at - timedelta(seconds=min(seconds, 1e9))  # an edge's own word: no date is below year 1


def _count_unhealthy(noted: dict[int, _Noted]) -> int:
    return sum(each.report.state != HEALTHY for each in noted.values())


def _highest_latency(noted: dict[int, _Noted]) -> float:
    return max(each.report.latency or 0.0 for each in noted.values())
