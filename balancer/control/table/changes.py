"""One change from a generation of the table to the next, as it is stored; it can be applied in both directions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from balancer.model.table import Site, TableEdge, edge_from_json, site_from_json
from node.vip import Vip, vip_from_json

Entry = Vip | TableEdge | Site
Key = tuple[str, str]  # the kind, `vip`, `edge` or `site`, and the name or id
_READ: Mapping[str, Callable[[Any], Entry]] = {
    "vip": vip_from_json,
    "edge": edge_from_json,
    "site": site_from_json,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One entry before and after; None is: not there."""

    kind: str
    key: str
    before: Entry | None
    after: Entry | None

    @property
    def of(self) -> Key:
        return self.kind, self.key

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "key": self.key,
            "before": self.before.to_json() if self.before else None,
            "after": self.after.to_json() if self.after else None,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Change":
        read = entry_from_json
        kind = value["kind"]
        return cls(kind, value["key"], read(kind, value["before"]), read(kind, value["after"]))

    def describe(self) -> str:
        """Describe the change in a line: `edge1 up -> draining`."""
        name = (self.after or self.before).name  # type: ignore[union-attr]
        if self.kind == "site":
            name = f"ring of {name}"
        if isinstance(self.before, TableEdge) and isinstance(self.after, TableEdge):
            if self.before.state != self.after.state:
                return f"{name} {self.before.state} -> {self.after.state}"
            if self.before.encapsulation != self.after.encapsulation:
                return f"{name} {self.before.encapsulation} -> {self.after.encapsulation}"
            tunnels = [(each.tunnel_v4, each.tunnel_v6) for each in (self.before, self.after)]
            return f"{name} {'changed its key or outside address' if tunnels[0] == tunnels[1] else 'moved'}"
        return f"{name} {'added' if self.before is None else 'removed' if self.after is None else 'changed'}"


def entry_from_json(kind: str, value: Any) -> Entry | None:
    """Parse a stored entry."""
    if value is None:
        return None
    return _READ[kind](value)


def key_of(entry: Entry) -> Key:
    """Return the kind and key of an entry."""
    match entry:
        case Vip():
            return "vip", entry.name
        case TableEdge():
            return "edge", str(entry.id)
        case Site():
            return "site", entry.name


def compare_tables(before: Mapping[Key, Entry], after: Mapping[Key, Entry]) -> list[Change]:
    """Return every difference of two tables."""
    return compare_entries(before, {key: after.get(key) for key in before.keys() | after.keys()}.items())


def compare_entries(before: Mapping[Key, Entry], after: Iterable[tuple[Key, Entry | None]]) -> list[Change]:
    """Return the differences among the given entries."""
    return [Change(*key, before.get(key), entry) for key, entry in after if before.get(key) != entry]
