"""The forwarding table: which edge has which id, where its tunnel ends, and whether it takes new subflows.

One versioned value. It goes from the control plane to every forwarder as JSON; reading it validates everything,
because a wrong table sends people's traffic to the wrong place.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

MAXIMUM_EDGE_ID = 55535
MAXIMUM_WEIGHT = 1_000_000


class EdgeState(StrEnum):
    """What the table says of an edge. Only `down` refuses new subflows at the ingress."""

    UP = "up"
    DRAINING = "draining"
    DOWN = "down"


class Locator(StrEnum):
    """How secondary subflows to a VIP carry the edge id."""

    PORT = "port"
    ADDRESS = "address"


class Replies(StrEnum):
    """How replies on forwarded subflows leave: through the ingress edge, or by the owner's own uplink."""

    SYMMETRIC = "symmetric"
    DIRECT = "direct"


class Encapsulation(StrEnum):
    """What tunnels to an edge look like: IP in IP, or GUE over UDP, which routers and NICs spread by its ports."""

    IPIP = "ipip"
    GUE = "gue"


@dataclass(frozen=True, slots=True)
class Vip:
    """An anycast service address (a v4/v6 pair counts as one) and how its locators are made."""

    name: str
    v4: str | None
    v6: str | None
    service_port: int = 443
    locator: Locator = Locator.PORT
    id_port_base: int = 10000
    replies: Replies = Replies.SYMMETRIC

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict, ready for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TableEdge:
    """One edge: its id, and the address where tunnels to it end."""

    id: int
    name: str
    tunnel_v4: str | None
    tunnel_v6: str | None
    state: EdgeState = EdgeState.UP
    encapsulation: Encapsulation = Encapsulation.IPIP

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict, ready for `json.dumps`."""
        return {
            "id": self.id,
            "name": self.name,
            "tunnel_v4": self.tunnel_v4,
            "tunnel_v6": self.tunnel_v6,
            "state": self.state,
            "encapsulation": self.encapsulation,
        }


@dataclass(frozen=True, slots=True)
class Member:
    """An edge of a site, and its share of first subflows; with weight 0 it only hands on what others take."""

    id: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Site:
    """Edges behind one router: who takes first subflows, and who did before the last change."""

    name: str
    current: tuple[Member, ...]
    previous: tuple[Member, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict, ready for `json.dumps`."""
        return {
            "name": self.name,
            "current": [asdict(member) for member in self.current],
            "previous": [asdict(member) for member in self.previous],
        }


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
        """Validate what `json.loads` gave; raises `ValueError` that names the field."""
        fields = _as_mapping(value, "table")
        table = cls(
            _read_integer(fields, "generation", 0, 2**63 - 1),
            tuple(vip_from_json(vip) for vip in _read_sequence(fields, "vips")),
            tuple(edge_from_json(edge) for edge in _read_sequence(fields, "edges")),
            tuple(site_from_json(site) for site in _read_sequence({"sites": [], **fields}, "sites")),
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
                raise ValueError(f"{what}: one value stands twice")
        return table

    def edge(self, edge_id: int) -> TableEdge | None:
        return next((edge for edge in self.edges if edge.id == edge_id), None)


def vip_from_json(value: Any) -> Vip:
    """Validate one VIP; raises `ValueError` that names the field."""
    fields = _as_mapping(value, "vips")
    vip = Vip(
        _read_text(fields, "name"),
        _read_address(fields, "v4", 4),
        _read_address(fields, "v6", 6),
        _read_integer(fields, "service_port", 1, 65535),
        Locator(_read_choice(fields, "locator", [kind.value for kind in Locator])),
        _read_integer(fields, "id_port_base", 1, 65534),
        Replies(_read_choice({"replies": "symmetric", **fields}, "replies", list(Replies))),
    )
    if vip.v4 is None and vip.v6 is None:
        raise ValueError("v4: a VIP needs an address")
    if vip.service_port > vip.id_port_base:
        raise ValueError("service_port: lies in the range of the locators")
    return vip


def edge_from_json(value: Any) -> TableEdge:
    """Validate one edge; raises `ValueError` that names the field."""
    fields = _as_mapping(value, "edges")
    return TableEdge(
        _read_integer(fields, "id", 1, MAXIMUM_EDGE_ID),
        _read_text(fields, "name"),
        _read_address(fields, "tunnel_v4", 4),
        _read_address(fields, "tunnel_v6", 6),
        EdgeState(_read_choice(fields, "state", [state.value for state in EdgeState])),
        Encapsulation(
            _read_choice({"encapsulation": "ipip", **fields}, "encapsulation", list(Encapsulation))
        ),
    )


def site_from_json(value: Any) -> Site:
    """Validate one site; raises `ValueError` that names the field."""
    fields = _as_mapping(value, "sites")
    current, previous = (
        tuple(
            Member(
                _read_integer(_as_mapping(one, name), "id", 1, MAXIMUM_EDGE_ID),
                _read_integer(one, "weight", 0, MAXIMUM_WEIGHT),
            )
            for one in _read_sequence({"previous": [], **fields}, name)
        )
        for name in ("current", "previous")
    )
    for name, members in (("current", current), ("previous", previous or current)):
        if not any(member.weight for member in members):
            raise ValueError(f"{name}: a site needs an edge with a weight")
    return Site(_read_text(fields, "name"), current, previous)


def _as_mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: not an object")
    return value


def _read_sequence(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise ValueError(f"{name}: not a list")
    return value


def _read_integer(fields: Mapping[str, Any], name: str, lowest: int, highest: int) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ValueError(f"{name}: not a whole number from {lowest} to {highest}")
    return value


def _read_text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 64:
        raise ValueError(f"{name}: not a text of 1 to 64 characters")
    return value


def _read_choice(fields: Mapping[str, Any], name: str, choices: Sequence[str]) -> str:
    value = fields.get(name)
    if value not in choices:
        raise ValueError(f"{name}: none of {', '.join(choices)}")
    return str(value)


def _read_address(fields: Mapping[str, Any], name: str, version: int) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f"{name}: not an address") from None
    if address.version != version or address.is_multicast or address.is_unspecified or address.is_loopback:
        raise ValueError(f"{name}: not a unicast IPv{version} address")
    return str(address)
