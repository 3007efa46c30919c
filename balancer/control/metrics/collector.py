"""The control plane's metrics: read from memory at each scrape, without a query."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from balancer.control.grants.book import GrantBook
from balancer.control.health.acknowledgement import Acknowledgements
from balancer.control.health.leases import Leases
from balancer.control.newest import NewestIds
from balancer.control.table.acknowledgements import count_acknowledged
from balancer.control.table.publication import Publication
from balancer.model.table import EdgeState, TableEdge


class ControlMetrics(Collector):
    """The metrics of one running control plane."""

    def __init__(
        self,
        publication: Publication,
        known: Acknowledgements,
        leases: Leases,
        grants: GrantBook,
        newest: NewestIds,
    ) -> None:
        self._publication = publication
        self._acknowledgements = known
        self._leases = leases
        self._grants = grants
        self._newest = newest

    def collect(self) -> Iterator[Metric]:
        generation = self._publication.watch.generation
        yield from self._edges()
        yield _make_gauge("generation", "newest generation of the forwarding table", generation)
        yield _make_gauge("frozen", "1 while the table is frozen", self._publication.pin is not None)
        acknowledged = count_acknowledged(self._acknowledgements.applied, generation)
        yield _make_gauge("forwarders", "live forwarders", acknowledged.forwarders)
        yield _make_gauge(
            "acknowledged_share",
            "share of the live forwarders that have the newest generation",
            acknowledged.share,
        )
        yield _make_gauge("leases", "edges that hold a lease", self._leases.count())
        yield _make_gauge("grants", "edges that hold a withdrawal grant", len(self._grants.holders()))
        yield _make_gauge("purge_newest", "id of the newest purge", self._newest.purge)
        yield CounterMetricFamily(
            "sennit_control_unknown_members",
            "members of heartbeats that this version does not know",
            value=self._leases.unknown_members,
        )

    def _edges(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "sennit_control_edges", "edges by state in the forwarding table", labels=["state"]
        )
        entries = self._publication.watch.live.entries.values()
        states = Counter(entry.state for entry in entries if isinstance(entry, TableEdge))
        for state in EdgeState:
            family.add_metric([state.value], states[state])
        yield family


def _make_gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sennit_control_{name}", text, value=float(value))


def make_registry(metrics: ControlMetrics) -> CollectorRegistry:
    """Return a registry with all metrics, including those of the process."""
    made = CollectorRegistry()
    made.register(metrics)
    ProcessCollector(registry=made)
    return made
