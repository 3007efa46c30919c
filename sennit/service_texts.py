"""What `sennit services` prints."""

import argparse
import json
from typing import Any

from balancer.api.services import FieldChange, RolloutView, SecretView, ServiceView
from sennit import remote
from sennit.figure_texts import totals_table
from sennit.origin_texts import origins_table, unhealthy_lines
from sennit.service_views import ShownService
from sennit.yaml_documents import format_document


def describe_result(options: argparse.Namespace, result: Any) -> str:
    """Return the text for the result of an action."""
    match options.action:
        case "list":
            heads = ("NAME", "KIND", "ACTIVE", "NEWEST", "EDGES", "HOSTNAMES")
            return remote.format_table(heads, [_service_row(each) for each in result])
        case "top":
            return "\n".join((totals_table(result), *unhealthy_lines(result.origins)))
        case "origins":
            return origins_table(result)
        case "show" if options.revisions:
            return _revisions_table(result)
        case "show":
            return _describe_service(result)
        case "validate":
            return "\n".join(("no faults", *map(_change_line, result.changes)))
        case "diff" | "apply":
            return "\n".join(map(_change_line, result)) or "no difference"
        case "edit" if not options.activate:
            return f"{options.name}: revision {result.number}, {result.state}"
        case "rollout":
            return _describe_rollout(options.name, result)
        case "secret":
            return _secrets_table(result if isinstance(result, list) else [result] if result else [])
    return "" if result is None else summarise_service(result)


def summarise_service(view: ServiceView) -> str:
    """Return one line about a service."""
    active = f"revision {view.active} is active" if view.active else "no revision is active"
    if view.candidate:
        active += f", a rollout brings {view.candidate}"
    return f"{view.name}: {active}, newest {view.newest or '-'}, edges {_edges_text(view)}"


def _describe_service(shown: ShownService) -> str:
    service, revision = shown.service, shown.revision
    lines = [f"# {summarise_service(service)}"]
    lines += [
        f"# edge {one.edge_id} refuses revision {one.revision}: {one.reason}" for one in service.edges.refused
    ]
    lines += [f"# {line}" for line in unhealthy_lines(shown.origins)]
    if revision is not None:
        why = f": {revision.why}" if revision.why else ""
        made = f"{revision.created_at:%Y-%m-%d %H:%M} by {revision.created_by}{why}"
        lines.append(f"# revision {revision.number}, {revision.state}, {made}")
        lines.append(format_document(revision.document).rstrip())
    return "\n".join(lines)


def _describe_rollout(name: str, view: RolloutView) -> str:
    lines = [
        f"{name}: rollout of revision {view.candidate} is {view.state}{f': {view.why}' if view.why else ''}"
    ]
    if view.health != "ended":
        dwell = f"{view.well_seconds:.0f} of {view.dwell_seconds:.0f} s"
        lines.append(f"stage is {view.health}, for {dwell}, {view.edges} edges have the candidate")
    for number, stage in enumerate(view.stages):
        of = f"site {stage.site}" if stage.site else f"{stage.share or 0:.0%} of all edges"
        is_begun = view.state == "done" or number <= view.position
        lines.append(f"{'*' if is_begun else ' '} stage {number}: {of}")
    return "\n".join(lines)


def _revisions_table(found: Any) -> str:
    rows: list[tuple[str, ...]] = [
        (str(each.number), each.state, f"{each.created_at:%Y-%m-%d %H:%M}", each.created_by, each.why)
        for each in found
    ]
    return remote.format_table(("REVISION", "STATE", "CREATED", "BY", "WHY"), rows)


def _secrets_table(found: list[SecretView]) -> str:
    rows = [(each.key, f"{each.changed_at:%Y-%m-%d %H:%M}", each.changed_by) for each in found]
    return remote.format_table(("SECRET", "CHANGED", "BY"), rows) if rows else ""


def _service_row(view: ServiceView) -> tuple[str, ...]:
    hostnames = ", ".join(view.hostnames[:3]) + (" ..." if len(view.hostnames) > 3 else "")
    numbers = (str(view.active or "-"), str(view.newest or "-"))
    return view.name, view.kind or "-", *numbers, _edges_text(view), hostnames


def _edges_text(view: ServiceView) -> str:
    refused = f", {len(view.edges.refused)} refuse" if view.edges.refused else ""
    return f"{view.edges.applied}/{view.edges.live}{refused}"


def _change_line(change: FieldChange) -> str:
    if change.before is None:
        return f"+ {change.field}: {json.dumps(change.after)}"
    if change.after is None:
        return f"- {change.field}: {json.dumps(change.before)}"
    return f"~ {change.field}: {json.dumps(change.before)} -> {json.dumps(change.after)}"
