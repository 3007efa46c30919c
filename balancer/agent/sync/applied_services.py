"""Report which services the edge server has in force: in every heartbeat, and at once when it changes."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from balancer.agent.sync.lease import HeartbeatTrigger
from balancer.api.applied_services import AppliedReport, RefusalReport, ServiceCounts
from node.state.catalogue import SERVICES_APPLIED
from node.state.state_file import FileWatch
from services.published_file import REFUSALS_LIMIT, read_applied_services

LOOK_SECONDS = 0.1
SERVER_ERRORS = 5  # index of 5xx in `statuses`: none, 1xx, 2xx, ...
REST_SECONDS = 1.0  # between heartbeats that changes trigger


def report_applied(state: Path, figures: Mapping[str, Any], watched: Iterable[str]) -> AppliedReport | None:
    """Return what the edge server says; None where it does not serve the control plane's services.

    `figures` are its counts per service, of which the watched ones are reported: zero for one without a request yet.
    """
    try:
        applied = read_applied_services(state)
    except (OSError, ValueError):
        return None
    refused = applied.refused[:REFUSALS_LIMIT]
    known = watched if figures else ()  # empty: the edge has not said its figures yet
    counts = {name: _service_counts(figures[name]) if name in figures else ServiceCounts() for name in known}
    return AppliedReport(
        generation=applied.generation,
        counts={name: found for name, found in counts.items() if found is not None},
        refused=[RefusalReport(name=one.name, revision=one.revision, reason=one.reason) for one in refused],
    )


def _service_counts(figures: Any) -> ServiceCounts | None:
    try:
        return ServiceCounts(
            requests=figures["requests"],
            server_errors=figures["statuses"][SERVER_ERRORS],
            origin_requests=figures["origin_requests"],
            origin_failures=figures["origin_failures"],
        )
    except (ValueError, KeyError, TypeError, IndexError):
        return None  # of an edge of another version


async def trigger_reports(state: Path, changed: HeartbeatTrigger) -> None:
    """Trigger a heartbeat whenever the edge server has something else in force, until cancelled."""
    watch = FileWatch(SERVICES_APPLIED, state)
    watch.has_changed()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if watch.has_changed():
            changed.trigger()
            await asyncio.sleep(REST_SECONDS)
