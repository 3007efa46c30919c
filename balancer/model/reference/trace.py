"""Compute what a node would do with one TCP packet from outside; nothing is sent."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from balancer.model.reference.checksum import checksum
from balancer.model.reference.decision import Outcome, ReferenceForwarder
from balancer.model.reference.packet import ACK, SYN, TCP, TCP_PROTOCOL, mapped_address, read_frame
from balancer.model.reference.tunnel import TYPES, Ends
from balancer.model.table import ForwardingTable, TableEdge
from balancer.model.table_file import load_table
from node.state.catalogue import NODE
from node.state.identity import NodeUnknown, parse_identity
from node.vip import Vip


class Untraceable(Exception):
    """The node's state is missing or invalid, or an endpoint is invalid."""


@dataclass(frozen=True, slots=True)
class PacketEndpoint:
    """An address and a port."""

    address: IPv4Address | IPv6Address
    port: int

    @classmethod
    def parse(cls, text: str) -> "PacketEndpoint":
        """Read ADDRESS:PORT, or [ADDRESS]:PORT for IPv6. Raises `Untraceable`."""
        address, _, port = text.rpartition(":")
        bracketed = address.startswith("[") and address.endswith("]")
        try:
            endpoint = cls(ip_address(address.strip("[]")), int(port))
        except ValueError:
            raise Untraceable(f"{text!r} is neither ADDRESS:PORT nor [IPV6-ADDRESS]:PORT") from None
        if bracketed != (endpoint.address.version == 6):
            raise Untraceable(f"{text!r}: write IPv6 addresses, and only those, in brackets")
        if not 0 <= endpoint.port <= 65535:
            raise Untraceable(f"{text!r}: port is not in 0-65535")
        return endpoint


def node_forwarder(state: Path) -> ReferenceForwarder:
    """Return the reference forwarder of a node's state folder. Raises `Untraceable`."""
    try:
        node, table = parse_identity(NODE.read_object(state)), load_table(state)
    except (OSError, ValueError, NodeUnknown) as error:
        raise Untraceable(f"{state}: {error}") from None
    try:
        return forwarder_at(node.edge_id, node.vip, table)
    except Untraceable as error:
        raise Untraceable(f"{state}: {error}") from None


def forwarder_at(edge_id: int, vip: Vip, table: ForwardingTable) -> ReferenceForwarder:
    """Return the reference forwarder of one edge. Raises `Untraceable`."""
    own = table.edge(edge_id)
    if own is None:
        raise Untraceable(f"no edge {edge_id} in the table")
    if own.tunnel_v4 is None and own.tunnel_v6 is None:
        raise Untraceable(f"edge {edge_id} has no tunnel address")
    return ReferenceForwarder(edge_id, Ends(own.tunnel_v4, own.tunnel_v6), table, (vip,))


def trace(
    forwarder: ReferenceForwarder, source: PacketEndpoint, destination: PacketEndpoint, *, opens: bool
) -> Outcome:
    """Decide on a SYN (`opens`), or on a packet of an established connection. Raises `Untraceable`."""
    return forwarder.outside(frame_of(source, destination, SYN if opens else ACK))


def frame_of(source: PacketEndpoint, destination: PacketEndpoint, flags: int) -> bytes:
    """Return an empty TCP segment as an Ethernet frame. Raises `Untraceable`."""
    version = destination.address.version
    if source.address.version != version:
        raise Untraceable("one endpoint is IPv4 and the other IPv6")
    segment = struct.pack("!HHIIBBHHH", source.port, destination.port, 0, 0, 5 << 4, flags, 65535, 0, 0)
    addresses = source.address.packed + destination.address.packed
    if version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + TCP, 0, 0x4000, 64, TCP_PROTOCOL, 0) + addresses
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    else:
        head = struct.pack("!IHBB", 6 << 28, TCP, TCP_PROTOCOL, 64) + addresses
    return bytes(12) + TYPES[version] + head + segment


def next_hop(outcome: Outcome, forwarder: ReferenceForwarder) -> TableEdge | None:
    """Return the edge to which a packet is forwarded."""
    if outcome.packet is None or not outcome.reason.name.endswith("FORWARDED"):
        return None
    outer = read_frame(outcome.packet)
    ends = {
        mapped_address(text): edge
        for edge in forwarder.table.edges
        for text in (edge.tunnel_v4, edge.tunnel_v6)
        if text
    }
    return ends.get(outer.destination) if outer else None
