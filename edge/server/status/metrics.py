"""Prometheus metrics at `--metrics ADDRESS:PORT`: the facts of the health endpoint, and those of the process."""

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.server.status.origin_metrics import origin_metrics
from edge.server.status.service_metrics import (
    access_log_metrics,
    service_metrics,
    session_metrics,
    span_metrics,
)


class EdgeMetrics(Collector):
    """Collector that calls `facts`, as the health endpoint does, at each scrape."""

    def __init__(self, facts: Callable[[], dict[str, Any]]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts = self._facts()
        for name, text, value in (
            ("well", "1 while the health has no reason for degraded.", facts["status"] == "ok"),
            ("draining", "1 while new sessions are refused for a drain.", facts["draining"]),
            ("sessions", "Established sessions.", facts["sessions"]),
            ("handshakes", "Handshakes in progress.", facts["handshakes"]),
        ):
            yield GaugeMetricFamily(f"sennit_edge_{name}", text, value=float(value))
        failures = CounterMetricFamily(
            "sennit_edge_handshake_failures", "Handshakes that failed, by error.", labels=["error"]
        )
        for error, count in sorted(facts["failures"].items()):
            failures.add_metric([error], count)
        yield failures
        yield from service_metrics(
            facts.get("figures", {}), facts.get("open_streams", {}), facts.get("exemplars", {})
        )
        yield from session_metrics(facts.get("figures", {}), facts.get("open_sessions", {}))
        if "origins" in facts:
            yield from origin_metrics(facts["origins"])
        if "access_log" in facts:
            yield from access_log_metrics(facts["access_log"])
        if "traces" in facts:
            yield from span_metrics(facts["traces"])


def serve_metrics(listen: str | None, facts: Callable[[], dict[str, Any]]) -> Callable[[], None]:
    """Serve GET /metrics at ADDRESS:PORT in a thread, unless None; return its stop function. Raises OSError."""
    if listen is None:
        return lambda: None
    address, _, port = listen.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(EdgeMetrics(facts))
    ProcessCollector(registry=registry)
    server, thread = start_http_server(int(port), address.strip("[]"), registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=2)

    return stop
