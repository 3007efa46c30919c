"""Who reaches whom, as the edges' heartbeats say: each reports the few peers that it probes."""

from collections.abc import Iterable

from balancer.api.health import PeerReport


class Reachability:
    """The newest report of every edge that holds a lease, found by the edge that it is about."""

    def __init__(self) -> None:
        self._about: dict[int, dict[int, PeerReport]] = {}
        self._by: dict[int, tuple[int, ...]] = {}

    def note(self, reporter: int, reports: Iterable[PeerReport]) -> None:
        """Take a reporter's view in place of its last one; what it says of itself is no evidence."""
        self.forget(reporter)
        about = {report.edge_id: report for report in reports if report.edge_id != reporter}
        self._by[reporter] = tuple(about)
        for edge_id, report in about.items():
            self._about.setdefault(edge_id, {})[reporter] = report

    def forget(self, reporter: int) -> None:
        """Drop the view of an edge that is heard of no more."""
        for edge_id in self._by.pop(reporter, ()):
            views = self._about[edge_id]
            del views[reporter]
            if not views:
                del self._about[edge_id]

    def about(self, edge_id: int) -> dict[int, PeerReport]:
        """What others say of an edge: reporter → report."""
        return self._about.get(edge_id, {})

    def reached_by(self, edge_id: int) -> list[int]:
        """The edges that reach it."""
        return sorted(who for who, report in self.about(edge_id).items() if report.reached)
