"""Which generation of services each live edge has in force, and what it refuses."""

from bisect import bisect_left
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

    def refused_services(self) -> set[str]:
        """Return the services that some live edge refuses."""
        return {refusal.name for report in self._reports.values() for refusal in report.refused}

    def summarise_reports(self) -> "ReportSummary":
        """Return the reports in an order in which many services can be looked up."""
        return ReportSummary(self._live, self._reports)


class ReportSummary:
    """The reports of one moment: looking up a service does not visit every edge."""

    def __init__(self, live: LiveServices, reports: Mapping[int, AppliedReport]) -> None:
        self._live = live
        self._reports = dict(reports)
        self._generations = sorted(report.generation for report in reports.values())
        self._refused: dict[str, list[RefusalView]] = {}
        for edge_id, report in sorted(reports.items()):
            for refusal in report.refused:
                view = RefusalView(edge_id=edge_id, revision=refusal.revision, reason=refusal.reason)
                self._refused.setdefault(refusal.name, []).append(view)

    def edges_of(self, name: str) -> ServiceEdges:
        """Return how far the last change of a service has come."""
        service, refused = self._live.services.get(name), self._refused.get(name, [])
        since = service.since if service else 0
        refusing = {each.edge_id for each in refused if self._reports[each.edge_id].generation >= since}
        have = len(self._generations) - bisect_left(self._generations, since)
        return ServiceEdges(
            live=len(self._generations), applied=have - len(refusing), refused=refused[:REFUSALS_SHOWN]
        )
