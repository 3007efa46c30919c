"""probes.json: what `sennit probe` found in its last round; times are of the monotonic clock."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from node.state.catalogue import PROBE_RESULTS
from node.vip import MAXIMUM_EDGE_ID

STALE_AFTER = 15.0  # seconds without a new round
RESULTS_LIMIT = 32


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe. `edge_id` is None for this edge's own service."""

    name: str
    ok: bool
    why: str = ""
    edge_id: int | None = None

    @property
    def reason(self) -> str:
        """The failure as health reports it."""
        return f"{self.name}: {self.why}"


def write_results(state: Path, at: float, results: Iterable[ProbeResult]) -> None:
    """Write a round's results."""
    PROBE_RESULTS.write_object(state, {"at": at, "results": [asdict(result) for result in results]})


def read_results(state: Path, now: float) -> tuple[ProbeResult, ...]:
    """Return the newest round; nothing where no prober runs on this node, a failure where it has stopped."""
    try:
        value = PROBE_RESULTS.read_object(state)
        results = tuple(
            ProbeResult(
                str(each["name"]), each["ok"] is True, str(each["why"]), _read_edge_id(each["edge_id"])
            )
            for each in value["results"][:RESULTS_LIMIT]
        )
        age = now - float(value["at"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError):
        return (ProbeResult("probes", False, f"{PROBE_RESULTS.name} is invalid"),)
    if not 0 <= age < STALE_AFTER:
        return (ProbeResult("probes", False, f"no result for {STALE_AFTER:g} s"),)
    return results


def _read_edge_id(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAXIMUM_EDGE_ID:
        raise ValueError(f"edge_id: {value!r}")
    return value
