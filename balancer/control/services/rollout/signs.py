"""What the control plane knows of edges, as rollouts look at it."""

from collections.abc import Iterator

from balancer.api.applied_services import AppliedReport
from balancer.api.schemas import Health
from balancer.control.health.leases import Leases
from balancer.control.registry.directory import EdgeDirectory, EdgeSnapshot
from balancer.control.services.published.live import LiveService
from balancer.control.services.rollout.verdict import EdgeSign
from node.state.desired_state import AdminState


class EdgeSigns:
    """Reads leases and heartbeats. An edge that reports no services at all takes no part."""

    def __init__(self, directory: EdgeDirectory, leases: Leases) -> None:
        self._directory = directory
        self._leases = leases

    def collect_signs(self, name: str, service: LiveService) -> tuple[list[EdgeSign], list[EdgeSign]]:
        """Return the signs of the edges with the candidate, and of the others."""
        members: list[EdgeSign] = []
        others: list[EdgeSign] = []
        for edge in self._directory.all_edges():
            if edge.admin_state == AdminState.DISABLED:
                continue
            chosen = service.has_candidate(name, edge.id, edge.site)
            for sign in self._read_sign(edge, name, service):
                (members if chosen else others).append(sign)
        return members, others

    def _read_sign(self, edge: EdgeSnapshot, name: str, service: LiveService) -> Iterator[EdgeSign]:
        heartbeat = self._leases.heartbeat(edge.id)
        if heartbeat is None:
            # down; or not heard of yet by a control plane that has just started
            yield EdgeSign(edge.id, alive=edge.alive, applied=False)
            return
        if (report := heartbeat.services) is None:
            return
        yield EdgeSign(
            edge.id,
            alive=heartbeat.health is not Health.DOWN,
            applied=report.generation >= service.since,
            refusal=_find_refusal(report, name, service),
            counts=report.counts.get(name),
        )


def _find_refusal(report: AppliedReport, name: str, service: LiveService) -> str:
    candidate = service.candidate.revision if service.candidate else None
    found = (each.reason for each in report.refused if each.name == name and each.revision == candidate)
    return next((reason or "no reason given" for reason in found), "")
