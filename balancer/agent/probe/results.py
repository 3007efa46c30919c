"""What `sennit probe` found, as it leaves it in probes.json of the state folder; times are of the monotonic clock."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.files import replace_json

STALE_AFTER = 15.0  # seconds without a new round


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe. `edge_id` is None for this edge's own service."""

    name: str
    ok: bool
    why: str = ""
    edge_id: int | None = None

    @property
    def reason(self) -> str:
        return f"{self.name}: {self.why}"


def keep(state: Path, at: float, results: list[ProbeResult]) -> None:
    """Write a round's results."""
    replace_json(state / "probes.json", {"at": at, "results": [asdict(result) for result in results]})


def read(state: Path, now: float) -> tuple[ProbeResult, ...]:
    """The newest round; none where no prober runs on this node, a failure where it has stopped."""
    try:
        value = json.loads((state / "probes.json").read_text())
        results = tuple(
            ProbeResult(str(each["name"]), each["ok"] is True, str(each["why"]), each["edge_id"])
            for each in value["results"][:32]
        )
        age = now - float(value["at"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError):
        return (ProbeResult("probes", False, "probes.json makes no sense"),)
    if not 0 <= age < STALE_AFTER:
        return (ProbeResult("probes", False, f"no result for {STALE_AFTER:g} s"),)
    return results
