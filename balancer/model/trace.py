"""Ask the reference what a node would do with one TCP packet from the world; nothing is sent."""

import json
import struct
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from balancer.model.decision import Forwarder, Outcome
from balancer.model.rewrite import ACK, SYN, checksum
from balancer.model.table import ForwardingTable, TableEdge, Vip, vip_from_json


class Untraceable(Exception):
    """What the decision needs is not there, or an endpoint is none."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IPv4 address and a port."""

    address: IPv4Address
    port: int

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Read ADDRESS:PORT. Raises `Untraceable`."""
        address, _, port = text.rpartition(":")
        try:
            endpoint = cls(IPv4Address(address), int(port))
        except (AddressValueError, ValueError):
            raise Untraceable(f"{text!r} is not ADDRESS:PORT, IPv4") from None
        if not 0 <= endpoint.port <= 65535:
            raise Untraceable(f"{text!r}: no such port")
        return endpoint


def node_forwarder(state: Path) -> Forwarder:
    """Return the decision of the node whose state folder this is. Raises `Untraceable`."""
    try:
        node = json.loads((state / "node.json").read_text())
        table = ForwardingTable.from_json(json.loads((state / "table.json").read_text()))
        edge_id, vip = int(node["edge_id"]), vip_from_json(node["vip"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Untraceable(f"{state}: {error}") from None
    try:
        return forwarder_at(edge_id, vip, table)
    except Untraceable as error:
        raise Untraceable(f"{state}: {error}") from None


def forwarder_at(edge_id: int, vip: Vip, table: ForwardingTable) -> Forwarder:
    """Return the decision of one edge. Raises `Untraceable`."""
    own = table.edge(edge_id)
    if own is None:
        raise Untraceable(f"the table has no edge {edge_id}")
    if vip.v4 is None or own.tunnel_v4 is None:
        raise Untraceable(f"no IPv4 address of VIP {vip.name}, or no tunnel of edge {edge_id}")
    return Forwarder(edge_id, own.tunnel_v4, vip, table)


def trace(forwarder: Forwarder, source: Endpoint, destination: Endpoint, *, opens: bool) -> Outcome:
    """Decide on a SYN (`opens`), or on a packet of a running connection."""
    addresses = source.address.packed + destination.address.packed
    flags = SYN if opens else ACK
    segment = struct.pack("!HHIIBBHHH", source.port, destination.port, 0, 0, 5 << 4, flags, 65535, 0, 0)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0x4000, 64, 6, 0) + addresses
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return forwarder.outside(bytes(12) + b"\x08\x00" + header + segment)


def next_hop(outcome: Outcome, forwarder: Forwarder) -> TableEdge | None:
    """The edge that a forwarded packet goes to."""
    if outcome.packet is None or not outcome.reason.name.endswith("FORWARDED"):
        return None
    address = str(IPv4Address(outcome.packet[30:34]))
    return next(edge for edge in forwarder.table.edges if edge.tunnel_v4 == address)
