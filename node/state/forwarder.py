"""applied.json and traffic.json: which generation the forwarder has in force, and what goes through its tunnels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node.state.catalogue import APPLIED, TRAFFIC
from node.vip import MAXIMUM_EDGE_ID


@dataclass(frozen=True, slots=True)
class TunnelCounts:
    """Packets and bytes sent to each edge by id since the programs were loaded; `at`: monotonic clock, seconds."""

    at: float
    sent: Mapping[int, tuple[int, int]]


def read_applied_generation(state: Path) -> int | None:
    """Return the generation in the maps; None where the forwarder has applied none."""
    generation = (APPLIED.find_object(state) or {}).get("generation")
    if not isinstance(generation, int) or isinstance(generation, bool) or generation < 0:
        return None
    return generation


def write_applied_generation(state: Path, generation: int) -> None:
    """Acknowledge that a generation is in the maps."""
    APPLIED.write_object(state, {"generation": generation})


def read_tunnel_counts(state: Path) -> TunnelCounts | None:
    """Return the newest counts; None where the file is missing or invalid."""
    value = TRAFFIC.find_object(state) or {}
    try:
        sent = {int(edge): (int(packets), int(size)) for edge, (packets, size) in value["sent"].items()}
        if not all(1 <= edge <= MAXIMUM_EDGE_ID for edge in sent):
            return None
        return TunnelCounts(float(value["at"]), sent)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def write_tunnel_counts(state: Path, counts: TunnelCounts) -> None:
    """Write the counts; edges to which nothing was sent are left out."""
    sent = {str(edge): [packets, size] for edge, (packets, size) in counts.sent.items() if packets}
    TRAFFIC.write_object(state, {"at": counts.at, "sent": sent})
