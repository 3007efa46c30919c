"""The control plane's gauges: read from memory when they are asked for, so that asking costs no database."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from balancer.control.plane import ControlPlane
from balancer.control.table import acknowledgements
from balancer.model.table import EdgeState, TableEdge


class PlaneMetrics(Collector):
    """One running control plane."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def collect(self) -> Iterator[Metric]:
        plane = self._plane
        yield from self._edges()
        yield _gauge("generation", "newest generation of the forwarding table", plane.watch.generation)
        yield _gauge("frozen", "1 while the table is held", plane.publication.pin is not None)
        acknowledged = acknowledgements.view(plane.acknowledgements.applied, plane.watch.generation)
        yield _gauge("forwarders", "live forwarders", acknowledged.forwarders)
        yield _gauge("acknowledged_share", "of them, how many have the newest generation", acknowledged.share)
        yield _gauge("leases", "edges that hold a lease", plane.leases.count())
        yield _gauge("grants", "edges with leave to withdraw", len(plane.grants.holders()))
        yield _gauge("purge_newest", "id of the newest purge", plane.newest_purge)

    def _edges(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "sennit_control_edges", "edges by state in the forwarding table", labels=["state"]
        )
        entries = self._plane.watch.live.entries.values()
        states = Counter(entry.state for entry in entries if isinstance(entry, TableEdge))
        for state in EdgeState:
            family.add_metric([state.value], states[state])
        yield family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sennit_control_{name}", text, value=float(value))


def registry(plane: ControlPlane) -> CollectorRegistry:
    """Everything that is told, the process's own figures too."""
    made = CollectorRegistry()
    made.register(PlaneMetrics(plane))
    ProcessCollector(registry=made)
    return made
