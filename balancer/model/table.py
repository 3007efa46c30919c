"""The forwarding table: which edge has which id, where its tunnel ends, and whether it takes new subflows.

One versioned value, sent from the control plane to every forwarder as JSON. Reading validates every field: a wrong
table misroutes traffic.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from node.fields import (
    read_address,
    read_choice,
    read_integer,
    read_key,
    read_sequence,
    read_text,
    require_mapping,
)
from node.vip import MAXIMUM_EDGE_ID, Vip, vip_from_json

MAXIMUM_WEIGHT = 1_000_000


class EdgeState(StrEnum):
    """State of an edge. Only `down` refuses new subflows at the ingress."""

    UP = "up"
    DRAINING = "draining"
    DOWN = "down"


class Encapsulation(StrEnum):
    """Encapsulation of tunnels to an edge: IP in IP, or GUE over UDP, whose ports allow ECMP and RSS."""

    IPIP = "ipip"
    GUE = "gue"


@dataclass(frozen=True, slots=True)
class TableEdge:
    """One edge: its id, its tunnel endpoints, and how other edges' agents ask its agent.

    `peer_key`: the public key (Ed25519, base64) that verifies its answers; `outside`: its address beside the backbone.
    """

    id: int
    name: str
    tunnel_v4: str | None
    tunnel_v6: str | None
    state: EdgeState = EdgeState.UP
    encapsulation: Encapsulation = Encapsulation.IPIP
    peer_key: str | None = None
    outside: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict, ready for `json.dumps`."""
        fields = {
            "id": self.id,
            "name": self.name,
            "tunnel_v4": self.tunnel_v4,
            "tunnel_v6": self.tunnel_v6,
            "state": self.state,
            "encapsulation": self.encapsulation,
        }
        about_agent = {"peer_key": self.peer_key, "outside": self.outside}
        return fields | {name: value for name, value in about_agent.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Member:
    """An edge of a site and its share of first subflows; with weight 0 it only forwards to the others."""

    id: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Site:
    """Edges behind one router: current members, and those before the last change.

    A seed (16 hexadecimal digits, a secret of the site's edges) decides which flow is in which bucket. None: that of
    rings which were made before there were secrets.
    """

    name: str
    current: tuple[Member, ...]
    previous: tuple[Member, ...] = ()
    seed: str | None = field(default=None, repr=False)
    previous_seed: str | None = field(default=None, repr=False)

    def to_json(self, *, with_seeds: bool = True) -> dict[str, Any]:
        """Return a plain dict, ready for `json.dumps`; without the seeds for readers that are no edges."""
        seeds = {"seed": self.seed, "previous_seed": self.previous_seed}
        return {
            "name": self.name,
            "current": [asdict(member) for member in self.current],
            "previous": [asdict(member) for member in self.previous],
        } | {name: seed for name, seed in seeds.items() if seed is not None and with_seeds}


@dataclass(frozen=True, slots=True)
class ForwardingTable:
    """All VIPs and edges as of one generation."""

    generation: int
    vips: tuple[Vip, ...] = ()
    edges: tuple[TableEdge, ...] = ()
    sites: tuple[Site, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for `json.dumps`."""
        table: dict[str, Any] = {
            "generation": self.generation,
            "vips": [vip.to_json() for vip in self.vips],
            "edges": [edge.to_json() for edge in self.edges],
        }
        return table | ({"sites": [site.to_json() for site in self.sites]} if self.sites else {})

    @classmethod
    def from_json(cls, value: Any) -> "ForwardingTable":
        """Validate decoded JSON; raises `ValueError` that names the field."""
        fields = require_mapping(value, "table")
        table = cls(
            read_integer(fields, "generation", 0, 2**63 - 1),
            tuple(vip_from_json(vip) for vip in read_sequence(fields, "vips")),
            tuple(edge_from_json(edge) for edge in read_sequence(fields, "edges")),
            tuple(site_from_json(site) for site in read_sequence({"sites": [], **fields}, "sites")),
        )
        for what, keys in (
            ("edges.id", [edge.id for edge in table.edges]),
            ("sites.current", [member.id for site in table.sites for member in site.current]),
            ("edges.name", [edge.name for edge in table.edges]),
            ("edges.tunnel_v4", [edge.tunnel_v4 for edge in table.edges if edge.tunnel_v4]),
            ("edges.tunnel_v6", [edge.tunnel_v6 for edge in table.edges if edge.tunnel_v6]),
            ("vips.v4", [vip.v4 for vip in table.vips if vip.v4]),
            ("vips.v6", [vip.v6 for vip in table.vips if vip.v6]),
        ):
            if len(set(keys)) != len(keys):
                raise ValueError(f"{what}: duplicate value")
        return table

    def edge(self, edge_id: int) -> TableEdge | None:
        return next((edge for edge in self.edges if edge.id == edge_id), None)


def edge_from_json(value: Any) -> TableEdge:
    """Validate one edge; raises `ValueError` that names the field."""
    fields = require_mapping(value, "edges")
    return TableEdge(
        read_integer(fields, "id", 1, MAXIMUM_EDGE_ID),
        read_text(fields, "name"),
        read_address(fields, "tunnel_v4", 4),
        read_address(fields, "tunnel_v6", 6),
        EdgeState(read_choice(fields, "state", [state.value for state in EdgeState])),
        Encapsulation(read_choice({"encapsulation": "ipip", **fields}, "encapsulation", list(Encapsulation))),
        read_key(fields, "peer_key"),
        read_address(fields, "outside", 6 if ":" in str(fields.get("outside")) else 4),
    )


def site_from_json(value: Any) -> Site:
    """Validate one site; raises `ValueError` that names the field."""
    fields = require_mapping(value, "sites")
    current, previous = (
        tuple(
            Member(
                read_integer(require_mapping(one, name), "id", 1, MAXIMUM_EDGE_ID),
                read_integer(one, "weight", 0, MAXIMUM_WEIGHT),
            )
            for one in read_sequence({"previous": [], **fields}, name)
        )
        for name in ("current", "previous")
    )
    for name, members in (("current", current), ("previous", previous or current)):
        if not any(member.weight for member in members):
            raise ValueError(f"{name}: a site needs an edge with a weight above 0")
    seeds = (_read_seed(fields, name) for name in ("seed", "previous_seed"))
    return Site(read_text(fields, "name"), current, previous, *seeds)


def _read_seed(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not (isinstance(value, str) and re.fullmatch("[0-9a-f]{16}", value)):
        raise ValueError(f"{name}: not 16 hexadecimal digits")
    return value
