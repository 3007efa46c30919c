"""What the edge says of origins, as its agent reports it in heartbeats."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from balancer.api.origins import SLOWEST_LIMIT, UNHEALTHY_LIMIT, OriginsReport


def report_origins(origins: Mapping[str, Any]) -> OriginsReport | None:
    """Return the report for `origins` of the edge's health; None where it has none, or is of another version."""
    if not origins:
        return None
    try:
        # the lists are bounded for heartbeats: the counts say how many there are
        unhealthy = origins["listed"][:UNHEALTHY_LIMIT]
        slowest = [{**each, "state": "healthy"} for each in origins["slowest"][:SLOWEST_LIMIT]]
        return OriginsReport.model_validate({**origins, "listed": [*unhealthy, *slowest]})
    except (ValidationError, KeyError, TypeError):
        return None
