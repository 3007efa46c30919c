"""Which edges reach which, from heartbeats: each edge reports the few peers that it probes."""

from collections.abc import Iterable

from balancer.api.health import PeerReport


class Reachability:
    """The newest report of every edge that holds a lease, indexed by the reported edge."""

    def __init__(self) -> None:
        self._about: dict[int, dict[int, PeerReport]] = {}
        self._by: dict[int, tuple[int, ...]] = {}

    def note(self, reporter: int, reports: Iterable[PeerReport]) -> None:
        """Replace a reporter's previous view; reports about itself are ignored."""
        self.forget(reporter)
        about = {report.edge_id: report for report in reports if report.edge_id != reporter}
        self._by[reporter] = tuple(about)
        for edge_id, report in about.items():
            self._about.setdefault(edge_id, {})[reporter] = report

    def forget(self, reporter: int) -> None:
        """Drop the view of an edge whose lease has ended."""
        for edge_id in self._by.pop(reporter, ()):
            views = self._about[edge_id]
            del views[reporter]
            if not views:
                del self._about[edge_id]

    def about(self, edge_id: int) -> dict[int, PeerReport]:
        """Return the reports about an edge, by reporter."""
        return self._about.get(edge_id, {})

    def reached_by(self, edge_id: int) -> list[int]:
        """Return the edges that reach this one."""
        return sorted(who for who, report in self.about(edge_id).items() if report.reached)
