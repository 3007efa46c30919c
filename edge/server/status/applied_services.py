"""Which services all workers have in force: what services-applied.json says to the agent and to the next start."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from services.published import PublishedService
from services.published_file import AppliedServices, RefusedService, write_applied_services

log = logging.getLogger("edge.services")

POLL_SECONDS = 0.1


def combine_applied(workers: Iterable[dict[str, Any]]) -> AppliedServices | None:
    """Return the generation that every worker has reached, and what any of them refuses; None without services."""
    parts = [facts["services"] for facts in workers if facts.get("services")]
    if not parts:
        return None
    refused = {each["name"]: each for part in parts for each in part["refused"]}
    return AppliedServices(
        min(part["generation"] for part in parts), tuple(map(_parse_refused, refused.values()))
    )


def combine_services(workers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what health says of services: nothing secret."""
    parts = list(workers)
    applied = combine_applied(parts)
    if applied is None:
        return {}
    return {
        "services": {
            "generation": applied.generation,
            "refused": {
                each.name: {"revision": each.revision, "reason": each.reason} for each in applied.refused
            },
        }
    }


def find_faults(workers: Iterable[dict[str, Any]]) -> list[str]:
    """Return why workers cannot load the newest file of services."""
    faults = {(facts.get("services") or {}).get("fault", "") for facts in workers}
    return [f"services: {fault}" for fault in sorted(faults - {""})]


def _parse_refused(value: dict[str, Any]) -> RefusedService:
    kept = value["kept"]
    return RefusedService(
        value["name"],
        value["revision"],
        value["reason"],
        PublishedService.from_json(json.loads(kept)) if kept is not None else None,
    )


async def report_applied(state: Path, applied: Callable[[], AppliedServices | None]) -> None:
    """Write services-applied.json as it changes, until cancelled."""
    written: AppliedServices | None = None
    while True:
        current = applied()
        if current is not None and current.generation and current != written:
            try:
                write_applied_services(state, current)
                written = current
            except OSError as error:
                log.warning("cannot report the services in force, retrying: %s", error)
        await asyncio.sleep(POLL_SECONDS)
