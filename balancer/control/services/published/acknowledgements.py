"""Which generation of services each live edge has in force, and what it refuses."""

from collections.abc import Mapping

from balancer.api.applied_services import AppliedReport
from balancer.api.numbers import epoch_after, epoch_of
from balancer.api.services import RefusalView, ServiceEdges
from balancer.control.health.acknowledgement import FUTURE_SECONDS
from balancer.control.services.published.live import LiveServices

REFUSALS_SHOWN = 100


class ServiceAcknowledgements:
    """The newest report of each live edge."""

    def __init__(self, live: LiveServices) -> None:
        self._live = live
        self._reports: dict[int, AppliedReport] = {}

    @property
    def reports(self) -> Mapping[int, AppliedReport]:
        """Return the reports by edge id."""
        return self._reports

    def note(self, edge_id: int, report: AppliedReport | None) -> None:
        """Record a heartbeat's report; None: the edge serves no services of the control plane."""
        if report is None:
            self._reports.pop(edge_id, None)
        else:
            self._reports[edge_id] = report

    def forget(self, edge_id: int) -> None:
        """Drop an edge whose lease has ended."""
        self._reports.pop(edge_id, None)

    def highest_lost(self, seconds: float) -> int:
        """Return the highest generation at the edges, if most of them are ahead: the database went back.

        A generation from the future (`seconds` since 1970) is no evidence.
        """
        newest, latest = self._live.generation, epoch_after(0, seconds + FUTURE_SECONDS)
        found = [each.generation for each in self._reports.values()]
        ahead = [each for each in found if each > newest and epoch_of(each) <= latest]
        return max(ahead) if 2 * len(ahead) > len(found) else 0

    def edges_of(self, name: str) -> ServiceEdges:
        """Return how far the last change of a service has come."""
        service = self._live.services.get(name)
        refused = [
            RefusalView(edge_id=edge_id, revision=refusal.revision, reason=refusal.reason)
            for edge_id, report in sorted(self._reports.items())
            for refusal in report.refused
            if refusal.name == name
        ]
        refusing = {each.edge_id for each in refused}
        since = service.since if service else 0
        applied = (edge_id for edge_id, report in self._reports.items() if report.generation >= since)
        return ServiceEdges(
            live=len(self._reports),
            applied=sum(edge_id not in refusing for edge_id in applied),
            refused=refused[:REFUSALS_SHOWN],
        )
