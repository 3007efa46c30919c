"""Prometheus metrics at `--metrics ADDRESS:PORT`: announcement, health, probes, peers, control plane."""

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from balancer.agent.announce.announcer import Announcer
from balancer.agent.announce.intent import Intent
from balancer.agent.health.node_watch import NodeMonitor
from balancer.agent.state import NodeState
from balancer.agent.sync.freshness import FreshnessMonitor
from balancer.api.schemas import Health

WAYS = ("forwarding", "backbone", "outside")


class AgentMetrics(Collector):
    """Read at each scrape."""

    def __init__(
        self,
        announcer: Announcer,
        node: NodeMonitor,
        intent: Intent,
        state: NodeState,
        freshness: FreshnessMonitor,
    ) -> None:
        self._announcer, self._node, self._intent, self._state = announcer, node, intent, state
        self._freshness = freshness

    def collect(self) -> Iterator[Metric]:
        now = time.monotonic()
        yield _make_gauge("announcing", "1 while the VIP is announced.", self._announcer.announcing)
        yield _make_gauge("granted", "1 while withdrawn by a grant.", self._intent.grant.granted(now))
        answered = self._intent.answered_at
        yield _make_gauge(
            "control_silence_seconds",
            "Since the control plane last answered, or since the start.",
            now - (answered if answered is not None else self._intent.started_at),
        )
        yield _make_gauge(
            "timestamp_age_seconds",
            "Since the control plane signed the newest timestamp that this node has.",
            self._freshness.age(),
        )
        yield _make_gauge("table_generation", "Of the table on disk.", self._state.table_generation() or 0)
        yield _make_gauge(
            "applied_generation", "Of the table in the forwarder.", self._state.applied_generation() or 0
        )
        yield from self._health()
        yield from self._reachability()

    def _health(self) -> Iterator[Metric]:
        findings = self._node.findings
        health = GaugeMetricFamily("sennit_agent_health", "1 for what the edge is.", labels=["health"])
        for each in Health:
            health.add_metric([each.value], findings.health is each)
        yield health
        reasons = GaugeMetricFamily(
            "sennit_agent_reason", "1 for each thing that is wrong, by its name.", labels=["reason", "kind"]
        )
        named = {(reason.partition(":")[0], "hard") for reason in findings.hard}
        named |= {(reason.partition(":")[0], "soft") for reason in findings.soft}
        named |= {(reason.partition(":")[0], "note") for reason in findings.notes}
        for name, kind in sorted(named):
            reasons.add_metric([name, kind], 1)
        yield reasons

    def _reachability(self) -> Iterator[Metric]:
        probes = GaugeMetricFamily("sennit_agent_probe_ok", "1 for a probe that succeeded.", labels=["probe"])
        for probe in self._node.probes:
            probes.add_metric([probe.name], probe.ok)
        yield probes
        peers = GaugeMetricFamily(
            "sennit_agent_peer_reached", "1 for a peer that is reached this way.", labels=["edge_id", "way"]
        )
        for report in self._node.reports():
            for way in WAYS:
                if (reached := getattr(report, way)) is not None:
                    peers.add_metric([str(report.edge_id), way], reached)
        yield peers
        generations = GaugeMetricFamily(
            "sennit_agent_peer_generation",
            "Generation of the forwarding table that a peer has, as it last answered.",
            labels=["edge_id"],
        )
        for edge_id, generation in self._node.peer_generations().items():
            generations.add_metric([str(edge_id)], generation)
        yield generations


def _make_gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sennit_agent_{name}", text, value=float(value))


def serve_metrics(address: str, port: int, metrics: AgentMetrics) -> Callable[[], None]:
    """Serve GET /metrics in a thread; returns what ends it. Raises OSError where the port is taken."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    ProcessCollector(registry=registry)
    server, thread = start_http_server(port, address, registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=2)

    return stop
