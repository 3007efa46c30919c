"""What `sennit services top` prints."""

from balancer.api.figures import HANDSHAKE_REASONS, FiguresTotals, ServiceFiguresBody, latency_quantile
from sennit import remote

HEADS = (
    *("SERVICE", "SESSIONS", "REFUSED", "REQ/S", "HIT", "MBIT/S", "4XX", "5XX"),
    *("ORIGIN/S", "FAILED", "P50", "P99"),
)


UNNAMED = "(no service)"
UNNAMED_TEXT = (
    f"{UNNAMED}: requests for host names that no service has, "
    "and handshakes that ended before the name was read"
)


def totals_table(totals: FiguresTotals) -> str:
    """Return a table of all services that did something; what belongs to none is the last row, and explained."""
    rows = [_total_row(each.service, each, totals.seconds) for each in totals.services]
    if totals.no_service is not None:
        rows.append(_total_row(UNNAMED, totals.no_service, totals.seconds))
    if not rows:
        return f"no session in the last {totals.seconds} s"
    table = remote.format_table(HEADS, rows)
    return table if totals.no_service is None else f"{table}\n{UNNAMED_TEXT}"


def _total_row(name: str, total: ServiceFiguresBody, seconds: int) -> tuple[str, ...]:
    return (
        name,
        f"{total.session_seconds / seconds:.1f}",
        _failures_text(total.handshake_failures),
        f"{total.requests / seconds:.1f}",
        _share_text(total.hits, total.requests),
        f"{total.bytes_out * 8 / seconds / 1e6:.1f}",
        _share_text(total.statuses[4], total.requests),
        _share_text(total.statuses[5], total.requests),
        f"{total.origin_requests / seconds:.1f}",
        _share_text(total.origin_failures, total.origin_requests),
        _seconds_text(latency_quantile(total.origin_latency, 0.5)),
        _seconds_text(latency_quantile(total.origin_latency, 0.99)),
    )


def _failures_text(failures: list[int]) -> str:
    """Return how many handshakes failed, and why most of them did."""
    count, reason = max(zip(failures, HANDSHAKE_REASONS, strict=True), key=lambda each: each[0])
    return f"{sum(failures)} {reason}" if count else "-"


def _share_text(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "-"


def _seconds_text(bound: float | None) -> str:
    """Return the upper bound of a bucket of latency."""
    if bound is None:
        return "-"
    return ">30 s" if bound == float("inf") else f"{bound * 1000:g} ms" if bound < 1 else f"{bound:g} s"
