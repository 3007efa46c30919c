"""The lab's IPv6, in namespaces: addresses that follow from the IPv4 ones, and what each host sets for them."""

from ipaddress import IPv6Interface

from lab.topology import VIP6, End, Topology
from smkex.core.wire.locator import ADDRESS_BITS

PREFIX6 = f"{VIP6}/{128 - ADDRESS_BITS[6]}"  # what is announced: the VIP with the edges' address locators


def address_v6(end: End) -> IPv6Interface:
    """Return the IPv6 address of an interface: 10.X.Y.Z is fdcd:X:Y::Z, each link with a /64 of its own."""
    _, x, y, z = str(end.address.ip).split(".")
    return IPv6Interface(f"fdcd:{x}:{y}::{z}/64")


def backbone_address_v6(topology: Topology, node: str) -> str:
    return str(next(address_v6(end).ip for end in topology.backbone if end.node == node))


def resolvers_v6(topology: Topology, node: str) -> dict[str, str]:
    """Return the resolver of each of a client's interfaces, as `Topology.resolvers` does for IPv4."""
    return {
        own.interface: str(address_v6(other).ip)
        for own, other, bgp in topology.ends(node)
        if topology.node(other.node).resolves and not bgp
    }


def gateways_v6(topology: Topology, node: str) -> list[str]:
    """Return ip's words for a node's default routes."""
    others = {own.interface: address_v6(other).ip for own, other, _ in topology.ends(node)}
    return [
        f"-6 route replace default via {others[route.interface]} dev {route.interface} metric {route.metric or 1024}"
        for route in topology.routes
        if route.node == node
    ]


def ip_commands_v6(topology: Topology, node: str) -> list[str]:
    """Return ip's words that give a node its addresses, VIP, locator and default routes; harmless to run again."""
    words = [
        f"address replace {address_v6(end)} dev {end.interface} nodad" for end in topology.interfaces(node)
    ]
    if (edge_id := topology.node(node).edge_id) is not None:
        words += [f"address replace {VIP6}/128 dev lo", f"address replace {VIP6}{edge_id:x}/128 dev lo"]
        # what is for no edge would go back to the uplink, and come again (RFC 4632 section 4.2)
        words.append(f"-6 route replace blackhole {PREFIX6}")
    return words + gateways_v6(topology, node)


def kernel_settings_v6(topology: Topology, node: str) -> dict[str, str]:
    """Return settings of a node's kernel. An address stays when its link goes down, as IPv4's do."""
    router = topology.node(node).forwards and topology.node(node).edge_id is None
    forwards = {"net.ipv6.conf.all.forwarding": "1"} if router else {}
    return {"net.ipv6.conf.all.keep_addr_on_down": "1"} | forwards
