"""What a host of the lab sets in its own network, beyond the addresses of its interfaces."""

from lab.topology import VIP, Topology


def ip_commands(topology: Topology, node: str) -> list[str]:
    """ip's words that give a node its VIP and default routes; harmless to run again."""
    words = ["link set lo up"]
    if topology.node(node).edge_id is not None:
        words.append(f"address replace {VIP}/32 dev lo")
    return words + [
        f"route replace default via {gateway} dev {route.interface} metric {route.metric}"
        for route, gateway in topology.gateways(node)
    ]


def kernel_settings(topology: Topology, node: str) -> dict[str, str]:
    """Settings of a node's kernel. Asymmetric ways are the point of the lab: no strict reverse path filter."""
    settings = {"net.ipv4.conf.all.rp_filter": "2" if topology.resolvers(node) else "0"}
    if topology.resolvers(node) or topology.node(node).edge_id is not None:
        settings["net.ipv4.tcp_fastopen"] = "3"  # clients and edges
    if topology.node(node).forwards:
        settings["net.ipv4.ip_forward"] = "1"
    if topology.node(node).forwards and topology.node(node).edge_id is None:
        # a router that looks for sockets of its own drops what it should forward where it finds one, such as what an
        # attacker in the middle leaves behind for a minute under the phone's address and port
        settings["net.ipv4.ip_early_demux"] = "0"
    return settings
