"""Figures over time as the fleet page draws them: columns of numbers instead of an object for each step."""

from collections.abc import Sequence

from balancer.api.figures import (
    FAILURES,
    ORIGIN_LATENCY,
    SESSION_SECONDS,
    FiguresLine,
    latency_quantile,
)
from balancer.control.figures.edge_ring import KEPT


def service_line(service: str | None, steps: Sequence[list[float]], seconds: int) -> FiguresLine:
    """Return the line of a service, or of the fleet; `steps` of so many seconds have all numbers."""
    short = [[step[place] for place in KEPT] for step in steps]
    more = {
        "service": service,
        "origin_p95": [_highest_quantile(step[ORIGIN_LATENCY]) for step in steps],
        "open_sessions": [round(step[SESSION_SECONDS] / seconds, 2) for step in steps],
        "handshake_failures": [int(sum(step[FAILURES])) for step in steps],
    }
    return _make_line(short).model_copy(update=more)


def edge_line(edge_id: int, steps: Sequence[list[float]]) -> FiguresLine:
    """Return the line of an edge; `steps` is in the order of `KEPT`."""
    return _make_line(steps).model_copy(update={"edge_id": edge_id})


def _make_line(steps: Sequence[list[float]]) -> FiguresLine:
    requests, hits, sent, origin, failures, seconds, client_errors, server_errors = zip(*steps, strict=True)
    whole = {
        "requests": requests,
        "hits": hits,
        "bytes_out": sent,
        "client_errors": client_errors,
        "server_errors": server_errors,
        "origin_requests": origin,
        "origin_failures": failures,
    }
    columns = {name: [int(value) for value in column] for name, column in whole.items()}
    return FiguresLine(**columns, origin_seconds=[round(value, 6) for value in seconds])


def _highest_quantile(latency: list[float]) -> float | None:
    bound = latency_quantile([int(value) for value in latency], 0.95)
    return None if bound == float("inf") else bound
