"""Check this node: its edge, VIP, forwarder, probes and peers; the outcome is `Findings`."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from balancer.agent.health.edge_health import EdgeMonitor
from balancer.agent.health.findings import Findings
from balancer.agent.health.host_checks import ForwarderCheck, find_missing_vip
from balancer.agent.peers.peer_watch import PeerMonitor
from balancer.agent.state import NodeState
from balancer.api.health import PeerReport
from balancer.api.schemas import Health
from node.state.probe_results import ProbeResult, read_results

TABLE_LAG_LIMIT = 10.0  # seconds that a forwarder may take to apply a table
HOOK_CHECK_INTERVAL = 2.0  # seconds between checks of the hooks, which take some milliseconds each
CUT_OFF = "backbone: no peer answers"


class NodeMonitor:
    """All checks of one node, and their last outcome."""

    def __init__(
        self,
        state: NodeState,
        edge_socket: Path,
        peers: PeerMonitor,
        *,
        forwarder: bool,
        vip_check: bool,
        find_notes: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._state = state
        self._edge = EdgeMonitor(edge_socket)
        self._peers = peers
        self._forwarder = forwarder
        self._vip_check = vip_check
        self._find_notes = find_notes
        self._behind_since: float | None = None
        self._attached_at = float("-inf")
        self._hooks = ForwarderCheck(state.folder)
        self._detached: str | None = None
        self.findings = Findings(hard=("edge: not checked yet",))
        self.probes: tuple[ProbeResult, ...] = ()
        self.figures: Mapping[str, Any] = {}  # the edge's counts by service
        self.origins: Mapping[str, Any] = {}  # what the edge knows of the services' origins

    async def check_node(self) -> Findings:
        """Run every check once."""
        now = time.monotonic()
        edge = await self._edge.check_edge(now)
        self.figures, self.origins = edge.figures, edge.origins
        hard = list(edge.reasons) if edge.status is Health.DOWN else []
        soft = [] if hard else list(edge.reasons)
        if self._vip_check and (missing := find_missing_vip(self._state.vip_addresses())):
            hard.append(missing)
        if self._forwarder:
            if now - self._attached_at >= HOOK_CHECK_INTERVAL:
                self._attached_at = now
                self._detached = await asyncio.to_thread(self._hooks.find_fault)
            if self._detached:
                hard.append(self._detached)
            if self._behind(now):
                soft.append(f"forwarder: has not applied the newest table for {TABLE_LAG_LIMIT:g} s")
        self.probes = read_results(self._state.folder, time.monotonic())
        # one failed probe through another edge's tunnel may be that edge's fault: its own health reports it
        forwarding = [probe for probe in self.probes if probe.edge_id is not None]
        blamed = [probe for probe in self.probes if probe.edge_id is None]
        if len(forwarding) > 1 and not any(probe.ok for probe in forwarding):
            blamed += forwarding
        soft += [probe.reason for probe in blamed if not probe.ok]
        if self._peers.cut_off:
            soft.append(CUT_OFF)
        self.findings = Findings(
            tuple(hard), tuple(soft), self._find_notes(), edge.sessions, edge.at_service_port
        )
        return self.findings

    def peer_generations(self) -> dict[int, int]:
        """Return the generation of the table that each peer has, of those that have answered."""
        return {
            edge_id: seen.generation
            for edge_id, seen in sorted(self._peers.statuses.items())
            if seen.generation is not None
        }

    def reports(self) -> list[PeerReport]:
        """What this edge sees of its peers, for the heartbeat."""
        forwarding = {probe.edge_id: probe.ok for probe in self.probes if probe.edge_id is not None}
        return [
            PeerReport(
                edge_id=edge_id,
                forwarding=forwarding.get(edge_id),
                backbone=self._peers.statuses[edge_id].backbone if edge_id in self._peers.statuses else None,
                outside=self._peers.statuses[edge_id].outside if edge_id in self._peers.statuses else None,
            )
            for edge_id in sorted({*forwarding, *self._peers.statuses})
        ][:16]

    def _behind(self, now: float) -> bool:
        newest, applied = self._state.table_generation(), self._state.applied_generation()
        if newest is None or applied is None or applied >= newest:
            self._behind_since = None
            return False
        if self._behind_since is None:
            self._behind_since = now
        return now - self._behind_since > TABLE_LAG_LIMIT
