"""Metrics of the services' origins: how many are known, and which are not healthy."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric


def origin_metrics(origins: dict[str, Any]) -> Iterator[Metric]:
    """Yield the metrics of what `edge.origins.published_health` combines."""
    yield GaugeMetricFamily("sennit_edge_origins", "Origins of services in use.", value=origins["known"])
    yield GaugeMetricFamily(
        "sennit_edge_origins_unhealthy",
        "Those that a worker does not ask while there is another.",
        value=origins["unhealthy"],
    )
    listed = GaugeMetricFamily(
        "sennit_edge_origin_unhealthy",
        "Workers that do not ask this origin, by state; 100 origins at most.",
        labels=["service", "origin", "state"],
    )
    for each in origins["listed"]:
        listed.add_metric([each["service"], each["origin"], each["state"]], each["workers"])
    yield listed
