"""purges.json: the newest purges that the control plane asks for; ids grow. purged.json: the newest that is applied."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from node.state.catalogue import PURGED, PURGES


@dataclass(frozen=True, slots=True)
class Purge:
    """Remove the responses to one URL, or those with a tag, a prefix, of a host, of a service, or all.

    One of these is given. `soft`: they are stale instead. `at`: wall time of the request.
    """

    id: int
    url: str | None = None
    tag: str | None = None
    at: float = 0.0
    prefix: str | None = None
    host: str | None = None
    service: str | None = None
    everything: bool = False
    soft: bool = False

    def describe(self) -> str:
        """Return what is purged, for people."""
        named = {"tag": self.tag, "prefix": self.prefix, "host": self.host, "service": self.service}
        scope = next((f"{name} {value}" for name, value in named.items() if value), self.url or "everything")
        return f"{scope}, soft" if self.soft else scope


def read_purges(state: Path) -> list[Purge]:
    """Return the purges in order of their ids; raises OSError, `StateFileInvalid`."""
    value = PURGES.read_object(state)
    try:
        found = [_purge_of(one) for one in value["purges"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PURGES.invalid(f"not a list of purges: {error!r}") from None
    return sorted(found, key=lambda purge: purge.id)


def _purge_of(one: dict[str, Any]) -> Purge:
    purge = Purge(
        id=int(one["id"]),
        at=float(one.get("at") or 0.0),
        everything=one.get("everything") is True,
        soft=one.get("soft") is True,
        **{name: _optional_text(one.get(name)) for name in ("url", "tag", "prefix", "host", "service")},
    )
    if purge.url or purge.tag or purge.prefix or purge.host or purge.service:
        return purge
    return replace(purge, everything=True)  # also what a newer version names, and this one does not know


def write_purges(state: Path, purges: Iterable[Purge]) -> None:
    """Hand the edge these purges."""
    PURGES.write_object(state, {"purges": [asdict(purge) for purge in purges]})


def read_applied_purge(state: Path) -> int | None:
    """Return the id of the newest purge that the edge has applied; None where it has not said so."""
    found = PURGED.find_object(state)
    applied = found.get("applied") if found else None
    return applied if isinstance(applied, int) and not isinstance(applied, bool) else None


def write_applied_purge(state: Path, number: int) -> None:
    PURGED.write_object(state, {"applied": number})


def _optional_text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value or None
