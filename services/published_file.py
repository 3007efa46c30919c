"""services.json and services-applied.json: what the agent hands the edge, and what the edge answers.

services.json is JSON with one line a service, so that a reader parses only the lines that it has not seen yet.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.fields import read_integer, read_sequence, read_text, require_mapping
from node.state.catalogue import SERVICES, SERVICES_APPLIED
from services.published import LARGEST_NUMBER, PublishedService, ServiceGeneration

REASON_LIMIT = 300  # characters
REFUSALS_LIMIT = 64  # that an edge reports


def store_services(state: Path, services: ServiceGeneration) -> None:
    """Hand the edge a whole generation, durably: after a crash of the host it is this one or the one before."""
    head = f'{{"generation":{services.generation},"services":['
    SERVICES.write_text(state, join_lines(head, services.services, services.signature))


def join_lines(head: str, services: Iterable[PublishedService], signature: bytes) -> str:
    """Return JSON that begins with `head`, up to the bracket before the services."""
    lines = ",\n".join(service.line.decode() for service in services)
    return f'{head}\n{lines}\n],"signature":"{base64.b64encode(signature).decode()}"}}'


@dataclass(frozen=True, slots=True)
class ServiceLines:
    """A file of services: what stands around its lines, and the services."""

    meta: Mapping[str, Any]
    services: tuple[PublishedService, ...]

    @property
    def signature(self) -> Any:
        """Return the signature as it stands there."""
        return self.meta.get("signature")


def split_lines(text: str, known: Mapping[bytes, PublishedService]) -> ServiceLines:
    """Parse what `join_lines` made, but no line that is known; raises `ValueError`, `RecursionError`."""
    head, *lines, tail = text.split("\n")
    meta = require_mapping(json.loads(head + tail), "services")
    found = (line.removesuffix(",").encode() for line in lines if line)
    return ServiceLines(
        meta, tuple(known.get(line) or PublishedService.from_json(json.loads(line)) for line in found)
    )


def read_whole(state: Path, known: Mapping[bytes, PublishedService]) -> ServiceGeneration:
    """Return the generation of services.json, not verified; raises OSError, `StateFileInvalid`."""
    text = SERVICES.read_text(state)
    try:
        lines = split_lines(text, known)
        generation = read_integer(lines.meta, "generation", 0, LARGEST_NUMBER)
        return ServiceGeneration.assemble(generation, lines.services, lines.signature)
    except (ValueError, RecursionError) as error:
        raise SERVICES.invalid(str(error)) from None


@dataclass(frozen=True, slots=True)
class RefusedService:
    """A revision that an edge cannot apply, and why. `kept` is in force instead; None: the service is not served."""

    name: str
    revision: int
    reason: str
    kept: PublishedService | None = None


@dataclass(frozen=True, slots=True)
class AppliedServices:
    """The generation that all workers of an edge have in force, except for what is refused."""

    generation: int
    refused: tuple[RefusedService, ...] = ()


def write_applied_services(state: Path, applied: AppliedServices) -> None:
    """Tell the agent, and this edge's next start, what is in force."""
    refused = [
        {
            "name": each.name,
            "revision": each.revision,
            "reason": each.reason[:REASON_LIMIT],
            "kept": json.loads(each.kept.line) if each.kept else None,
        }
        for each in applied.refused
    ]
    SERVICES_APPLIED.write_object(state, {"generation": applied.generation, "refused": refused})


def read_applied_services(state: Path) -> AppliedServices:
    """Return what the edge says is in force; raises OSError, `StateFileInvalid`."""
    value = SERVICES_APPLIED.read_object(state)
    try:
        generation = read_integer(value, "generation", 0, LARGEST_NUMBER)
        return AppliedServices(generation, tuple(_parse_refusals(read_sequence(value, "refused"))))
    except ValueError as error:
        raise SERVICES_APPLIED.invalid(str(error)) from None


def _parse_refusals(values: Iterable[object]) -> Iterable[RefusedService]:
    for value in values:
        fields = require_mapping(value, "refused")
        kept = fields.get("kept")
        yield RefusedService(
            read_text(fields, "name"),
            read_integer(fields, "revision", 1, LARGEST_NUMBER),
            str(fields.get("reason", ""))[:REASON_LIMIT],
            PublishedService.from_json(kept) if kept is not None else None,
        )
