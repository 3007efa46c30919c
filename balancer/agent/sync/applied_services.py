"""Report which services the edge server has in force: in every heartbeat, and at once when it changes."""

import asyncio
from pathlib import Path

from balancer.agent.sync.lease import HeartbeatTrigger
from balancer.api.applied_services import AppliedReport, RefusalReport
from node.state.catalogue import SERVICES_APPLIED
from node.state.state_file import FileWatch
from services.published_file import REFUSALS_LIMIT, read_applied_services

LOOK_SECONDS = 0.1
REST_SECONDS = 1.0  # between heartbeats that changes trigger


def report_applied(state: Path) -> AppliedReport | None:
    """Return what the edge server says; None where it does not serve the control plane's services."""
    try:
        applied = read_applied_services(state)
    except (OSError, ValueError):
        return None
    refused = applied.refused[:REFUSALS_LIMIT]
    return AppliedReport(
        generation=applied.generation,
        refused=[RefusalReport(name=one.name, revision=one.revision, reason=one.reason) for one in refused],
    )


async def trigger_reports(state: Path, changed: HeartbeatTrigger) -> None:
    """Trigger a heartbeat whenever the edge server has something else in force, until cancelled."""
    watch = FileWatch(SERVICES_APPLIED, state)
    watch.has_changed()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if watch.has_changed():
            changed.trigger()
            await asyncio.sleep(REST_SECONDS)
