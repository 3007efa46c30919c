"""shield.json: the edges of the sites that shield services, and the key by which edges know each other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.fields import read_address, read_integer, read_sequence, read_text, require_mapping
from node.state.catalogue import SHIELD
from node.vip import MAXIMUM_EDGE_ID

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ShieldEdge:
    """An edge of a shielding site; `address` is that of its tunnels, on the backbone."""

    id: int
    name: str
    address: str

    @property
    def weight(self) -> int:
        """All edges of a site have equal shares of the keys."""
        return 1


@dataclass(frozen=True, slots=True)
class ShieldSites:
    """`key` is the fleet's secret, the same at every edge."""

    key: bytes = field(repr=False)
    sites: Mapping[str, tuple[ShieldEdge, ...]]

    def find_edge(self, edge_id: int) -> ShieldEdge | None:
        """Return this edge's entry, None where its site shields nothing."""
        return next((edge for edges in self.sites.values() for edge in edges if edge.id == edge_id), None)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for `json.dumps`."""
        sites = {
            name: [{"id": edge.id, "name": edge.name, "address": edge.address} for edge in edges]
            for name, edges in self.sites.items()
        }
        return {"key": self.key.hex(), "sites": sites}

    @classmethod
    def from_json(cls, value: Any) -> "ShieldSites":
        """Validate decoded JSON; raises `ValueError` that names the field, and never has the key."""
        fields = require_mapping(value, "shield")
        text = read_text(fields, "key")
        if len(text) != 2 * KEY_BYTES or not set(text) <= set("0123456789abcdef"):
            raise ValueError("key: not 64 hexadecimal digits")
        sites = require_mapping(fields.get("sites"), "sites")
        return cls(bytes.fromhex(text), {str(name): tuple(_parse_edges(sites, name)) for name in sites})


def _parse_edges(sites: Mapping[str, Any], name: str) -> Iterator[ShieldEdge]:
    for value in read_sequence(sites, name):
        fields = require_mapping(value, name)
        address = read_address(fields, "address", 4 if "." in str(fields.get("address")) else 6)
        if address is None:
            raise ValueError(f"{name}: an edge without address")
        yield ShieldEdge(read_integer(fields, "id", 1, MAXIMUM_EDGE_ID), read_text(fields, "name"), address)


def read_shield_sites(state: Path) -> ShieldSites:
    """Return what the agent hands the edge; raises OSError, `StateFileInvalid`."""
    try:
        return ShieldSites.from_json(SHIELD.read_object(state))
    except ValueError as error:
        raise SHIELD.invalid(str(error)) from None


def write_shield_sites(state: Path, sites: ShieldSites) -> None:
    """Hand the edge the sites; leave a file alone that already says so."""
    if SHIELD.find_object(state) != sites.to_json():
        SHIELD.write_object(state, sites.to_json())
