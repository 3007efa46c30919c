"""host.json: what the forwarder needs of the host, and where the host deviates."""

from dataclasses import asdict, dataclass
from pathlib import Path

from node.state.catalogue import HOST_STATE

STALE_AFTER = 15.0  # seconds without a new check
ITEMS_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class ItemState:
    """One wanted item; `deviation` is what was found instead. `hard`: an edge with that deviation must not announce."""

    name: str
    hard: bool
    deviation: str | None = None


@dataclass(frozen=True, slots=True)
class HostState:
    """All items as of one check; `at`: monotonic clock, seconds."""

    at: float
    items: tuple[ItemState, ...]

    def hard_deviation(self, now: float) -> str | None:
        """Return the first hard deviation; None if there is none, or the check is too old to count."""
        if not 0 <= now - self.at < STALE_AFTER:
            return None
        return next(
            (f"{item.name}: {item.deviation}" for item in self.items if item.hard and item.deviation), None
        )


def write_host_state(state: Path, host: HostState) -> None:
    """Write the outcome of a check."""
    HOST_STATE.write_object(state, {"at": host.at, "items": [asdict(item) for item in host.items]})


def read_host_state(state: Path) -> HostState | None:
    """Return the newest check; None where the file is missing or invalid."""
    value = HOST_STATE.find_object(state) or {}
    try:
        items = tuple(
            ItemState(
                str(each["name"]),
                each["hard"] is True,
                None if each["deviation"] is None else str(each["deviation"]),
            )
            for each in value["items"][:ITEMS_LIMIT]
        )
        return HostState(float(value["at"]), items)
    except (ValueError, KeyError, TypeError):
        return None
