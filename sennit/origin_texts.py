"""What `sennit services` prints of origins."""

from collections.abc import Iterable, Iterator

from balancer.api.origins import OriginsView, OriginView
from sennit import remote

HEADS = ("SERVICE", "ORIGIN", "EDGE", "STATE", "SINCE", "LATENCY", "CAUSE")


def origins_table(view: OriginsView) -> str:
    """Return a table with a row for each origin at each edge."""
    if not view.items:
        return f"no origin is unhealthy or was asked in the last minute, at {view.edges} edges that report"
    rows: list[tuple[str, ...]] = [
        (
            origin.service,
            origin.origin,
            str(each.edge_id),
            each.state,
            f"{each.since:%Y-%m-%d %H:%M:%S}" if each.since else "-",
            latency_text(each.latency),
            each.cause or "-",
        )
        for origin in view.items
        for each in origin.edges
    ]
    return remote.format_table(HEADS, rows)


def unhealthy_lines(origins: Iterable[OriginView]) -> Iterator[str]:
    """Yield a line for each origin that is not healthy at an edge."""
    for origin in origins:
        if not origin.unhealthy_edges:
            continue
        first = origin.edges[0]
        others = f" and {origin.unhealthy_edges - 1} more" if origin.unhealthy_edges > 1 else ""
        since = f" since {first.since:%Y-%m-%d %H:%M:%S}" if first.since else ""
        yield (
            f"origin {origin.origin} of {origin.service} is {first.state} at edge {first.edge_id}{others}"
            f"{since}: {first.cause}"
        )


def latency_text(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
