"""Prometheus metrics of the services, and of the access log."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Exemplar

from edge.telemetry.figures import HANDSHAKE_REASONS, LATENCY_BOUNDS, STATUS_CLASSES

_COUNTERS = {
    "hits": ("sennit_edge_service_hits_total", "Requests answered from the cache."),
    "incomplete": ("sennit_edge_service_incomplete_total", "Requests whose response was not sent whole."),
    "origin_requests": ("sennit_edge_service_origin_requests_total", "Requests to origins."),
    "origin_failures": (
        "sennit_edge_service_origin_failures_total",
        "Requests to origins without an answer, or with a 5xx.",
    ),
    "shield_requests": (
        "sennit_edge_service_shield_requests_total",
        "Requests to the edges that shield the service.",
    ),
    "shield_failures": (
        "sennit_edge_service_shield_failures_total",
        "Requests to shielding edges without an answer, or with a 5xx.",
    ),
    "shielded_requests": (
        "sennit_edge_service_shielded_requests_total",
        "Requests of other edges, which this one shields the origins from.",
    ),
    "shielded_hits": (
        "sennit_edge_service_shielded_hits_total",
        "Requests of other edges answered from the cache.",
    ),
}


def service_metrics(
    services: dict[str, Any], open_streams: dict[str, int], exemplars: dict[str, Any]
) -> Iterator[Metric]:
    """Yield the metrics of all services, and the number of streams that are open now.

    The bucket of a service's last request to an origin has its id as exemplar, which OpenMetrics alone shows.
    """
    yield from _stream_metrics(services, open_streams)
    requests = CounterMetricFamily(
        "sennit_edge_service_requests_total",
        "Requests by class of their status.",
        labels=["service", "status"],
    )
    transferred = CounterMetricFamily(
        "sennit_edge_service_bytes_total",
        "Bytes of bodies, from clients (in) and to them (out).",
        labels=["service", "direction"],
    )
    latency = HistogramMetricFamily(
        "sennit_edge_service_origin_seconds",
        "Seconds until the head of an origin's response, or its failure.",
        labels=["service"],
    )
    bounds = [*map(str, LATENCY_BOUNDS), "+Inf"]
    for name, counts in sorted(services.items()):
        for status, count in zip(STATUS_CLASSES, counts["statuses"], strict=True):
            requests.add_metric([name, status], count)
        transferred.add_metric([name, "in"], counts["bytes_in"])
        transferred.add_metric([name, "out"], counts["bytes_out"])
        below = accumulate(counts["origin_latency"])
        buckets = _add_exemplar(list(zip(bounds, below, strict=True)), exemplars.get(name))
        latency.add_metric([name], buckets, counts["origin_seconds"])
    yield from (requests, transferred, latency)
    for key, (metric, text) in _COUNTERS.items():
        counter = CounterMetricFamily(metric, text, labels=["service"])
        for name, counts in sorted(services.items()):
            counter.add_metric([name], counts[key])
        yield counter


def _add_exemplar(buckets: list[Any], exemplar: Any) -> list[Any]:
    if exemplar is None:
        return buckets
    request_id, seconds, at = exemplar
    number = bisect_left(LATENCY_BOUNDS, seconds)
    buckets[number] = (*buckets[number], Exemplar({"request_id": request_id}, seconds, at))
    return buckets


def _stream_metrics(services: dict[str, Any], open_streams: dict[str, int]) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "sennit_edge_streams_ended_total",
        "Streams of services of kind tcp, by why they ended.",
        labels=["service", "end"],
    )
    running = GaugeMetricFamily(
        "sennit_edge_streams_open", "Open streams of services of kind tcp.", labels=["service"]
    )
    for name, counts in sorted(services.items()):
        ends = counts.get("stream_ends", {})
        for end, count in sorted(ends.items()):
            ended.add_metric([name, end], count)
        if ends or name in open_streams:
            running.add_metric([name], open_streams.get(name, 0))
    yield from (ended, running)


def session_metrics(services: dict[str, Any], open_sessions: dict[str, int]) -> Iterator[Metric]:
    """Yield what is known of the services' sessions, and of handshakes that ended without one."""
    begun = CounterMetricFamily(
        "sennit_edge_service_sessions_total", "Sessions that were established.", labels=["service"]
    )
    running = GaugeMetricFamily("sennit_edge_service_sessions_open", "Open sessions.", labels=["service"])
    failed = CounterMetricFamily(
        "sennit_edge_service_handshake_failures_total",
        "Handshakes that failed, by reason.",
        labels=["service", "reason"],
    )
    for name, counts in sorted(services.items()):
        failures = counts["handshake_failures"]
        if counts["sessions"] or any(failures):
            begun.add_metric([name], counts["sessions"])
            running.add_metric([name], open_sessions.get(name, 0))
        for reason, count in zip(HANDSHAKE_REASONS, failures, strict=True):
            if count:
                failed.add_metric([name, reason], count)
    yield from (begun, running, failed)


def access_log_metrics(counts: dict[str, Any]) -> Iterator[Metric]:
    """Yield the metrics of the access log."""
    written = CounterMetricFamily("sennit_edge_access_log_lines_total", "Lines written to the access log.")
    written.add_metric([], counts["written"])
    yield written
    lost = CounterMetricFamily(
        "sennit_edge_access_log_lines_lost_total",
        "Lines that were not written to the access log, by reason.",
        labels=["reason"],
    )
    for reason, count in sorted(counts["lost"].items()):
        lost.add_metric([reason], count)
    yield lost


def span_metrics(counts: dict[str, Any]) -> Iterator[Metric]:
    """Yield the metrics of the export of spans."""
    exported = CounterMetricFamily("sennit_edge_spans_total", "Spans that a collector took.")
    exported.add_metric([], counts["exported"])
    yield exported
    lost = CounterMetricFamily(
        "sennit_edge_spans_lost_total",
        "Requests, attempts and sessions whose spans were not exported, by reason.",
        labels=["reason"],
    )
    for reason, count in sorted(counts["lost"].items()):
        lost.add_metric([reason], count)
    yield lost
