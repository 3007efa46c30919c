"""The service address (VIP) of a CDN, and its locators: where a secondary subflow to an edge goes.

The arithmetic is the protocol's own (smkex/core/wire/locator.py), so that clients, edges and forwarders agree.
"""

import ipaddress
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from node.fields import read_address, read_choice, read_integer, read_text, require_mapping
from smkex.core.errors import MalformedMessage
from smkex.core.wire.locator import address_locator, port_locator
from smkex.core.wire.messages import LocatorKind

MAXIMUM_EDGE_ID = 55_535  # id_port_base and it fit in a port


class Locator(StrEnum):
    """How secondary subflows to a VIP carry the edge id; `MIXED`: in the port with IPv4, in the address with IPv6."""

    PORT = "port"
    ADDRESS = "address"
    MIXED = "mixed"


class Replies(StrEnum):
    """How replies on forwarded subflows leave: through the ingress edge, or by the owner's own uplink."""

    SYMMETRIC = "symmetric"
    DIRECT = "direct"


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

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that the VIP has, IPv4 first."""
        return tuple(address for address in (self.v4, self.v6) if address)

    def locator_kind(self, version: int) -> LocatorKind:
        """Return what carries the edge id of secondary subflows by this version of IP."""
        by_address = self.locator is Locator.ADDRESS or (self.locator is Locator.MIXED and version == 6)
        return LocatorKind.ADDRESS if by_address else LocatorKind.PORT

    def locator_of(self, address: str, edge_id: int) -> tuple[str, int]:
        """Return where secondary subflows to this address of the VIP reach the edge; ValueError where nowhere."""
        try:
            ip = ipaddress.ip_address(address)
            if self.locator_kind(ip.version) is LocatorKind.PORT:
                return address, port_locator(edge_id, self.id_port_base)
            return str(address_locator(ip, edge_id)), self.service_port
        except MalformedMessage as error:
            raise ValueError(str(error)) from None

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict, ready for `json.dumps`."""
        return asdict(self)


def vip_from_json(value: Any, *, allow_loopback: bool = False) -> Vip:
    """Validate one VIP; raises `ValueError` that names the field. Tests serve on loopback, a CDN never does."""
    fields = require_mapping(value, "vips")
    vip = Vip(
        read_text(fields, "name"),
        read_address(fields, "v4", 4, allow_loopback=allow_loopback),
        read_address(fields, "v6", 6, allow_loopback=allow_loopback),
        read_integer(fields, "service_port", 1, 65535),
        Locator(read_choice(fields, "locator", [kind.value for kind in Locator])),
        read_integer(fields, "id_port_base", 1, 65534),
        Replies(read_choice({"replies": "symmetric", **fields}, "replies", list(Replies))),
    )
    if vip.v4 is None and vip.v6 is None:
        raise ValueError("v4: a VIP needs an address")
    if vip.service_port > vip.id_port_base:
        raise ValueError("service_port: lies in the range of the locators")
    return vip


def has_locator(vip: Vip, edge_id: int) -> bool:
    """Return whether every address of the VIP has a locator for this id."""
    try:
        locators = [vip.locator_of(address, edge_id) for address in vip.addresses]
    except ValueError:
        return False
    return bool(locators)


def locator_addresses(vip: Vip, edge_id: int) -> tuple[str, ...]:
    """Return where edge N listens for secondary subflows: with port locators the VIP's own addresses."""
    return tuple(vip.locator_of(address, edge_id)[0] for address in vip.addresses)
