"""purges.json: the newest purges that the control plane asks for; ids grow, each names a URL or a tag."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from node.state.catalogue import PURGES


@dataclass(frozen=True, slots=True)
class Purge:
    """Remove the responses to one URL, or those with a tag. `at`: wall time of the request."""

    id: int
    url: str | None
    tag: str | None
    at: float = 0.0


def read_purges(state: Path) -> list[Purge]:
    """Return the purges in order of their ids; raises OSError, `StateFileInvalid`."""
    value = PURGES.read_object(state)
    try:
        found = [
            Purge(
                int(one["id"]),
                _optional_text(one.get("url")),
                _optional_text(one.get("tag")),
                float(one.get("at") or 0.0),
            )
            for one in value["purges"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PURGES.invalid(f"not a list of purges: {error!r}") from None
    return sorted(found, key=lambda purge: purge.id)


def write_purges(state: Path, purges: Iterable[Purge]) -> None:
    """Hand the edge these purges."""
    PURGES.write_object(state, {"purges": [asdict(purge) for purge in purges]})


def _optional_text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value or None
