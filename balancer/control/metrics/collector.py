"""The control plane's gauges: read from memory at each scrape, without a query."""

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
        yield _make_gauge("generation", "newest generation of the forwarding table", plane.watch.generation)
        yield _make_gauge("frozen", "1 while the table is frozen", plane.publication.pin is not None)
        acknowledged = acknowledgements.count_acknowledged(
            plane.acknowledgements.applied, plane.watch.generation
        )
        yield _make_gauge("forwarders", "live forwarders", acknowledged.forwarders)
        yield _make_gauge(
            "acknowledged_share",
            "share of the live forwarders that have the newest generation",
            acknowledged.share,
        )
        yield _make_gauge("leases", "edges that hold a lease", plane.leases.count())
        yield _make_gauge("grants", "edges that hold a withdrawal grant", len(plane.grants.holders()))
        yield _make_gauge("purge_newest", "id of the newest purge", plane.newest_purge)

    def _edges(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "sennit_control_edges", "edges by state in the forwarding table", labels=["state"]
        )
        entries = self._plane.watch.live.entries.values()
        states = Counter(entry.state for entry in entries if isinstance(entry, TableEdge))
        for state in EdgeState:
            family.add_metric([state.value], states[state])
        yield family


def _make_gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sennit_control_{name}", text, value=float(value))


def make_registry(plane: ControlPlane) -> CollectorRegistry:
    """Return a registry with all metrics, including those of the process."""
    made = CollectorRegistry()
    made.register(PlaneMetrics(plane))
    ProcessCollector(registry=made)
    return made
