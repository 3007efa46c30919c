"""BIRD's configuration for the routers and edges of the lab, made from the topology."""

from lab.topology import VIP, Node, Topology

HOLD_TIME = 9  # seconds until a silent neighbour is given up; BIRD's own default is 240


def configuration(topology: Topology, node: Node) -> str:
    """The bird.conf of one node."""
    own_address = topology.ends(node.name)[0][0].address.ip
    parts = [f"router id {own_address};", "protocol device {}"]
    if node.edge_id is None:
        parts += ["protocol direct { ipv4; }", "protocol kernel { ipv4 { import none; export all; }; }"]
        import_, export = "all", "all"
    else:
        # enabled by the agent, never by a start or a reload
        parts.append(f"protocol static vip {{ disabled; ipv4; route {VIP}/32 unreachable; }}")
        import_, export = "none", 'where proto = "vip"'
    for own, other, bgp in topology.ends(node.name):
        if bgp:
            neighbour = topology.node(other.node)
            parts.append(
                f"protocol bgp {other.node} {{\n"
                f"  local {own.address.ip} as {node.asn};\n"
                f"  neighbor {other.address.ip} as {neighbour.asn};\n"
                f"  hold time {HOLD_TIME};\n  connect retry time 1;\n  connect delay time 1;\n"
                f"  error wait time 1, 4;\n"
                f"  ipv4 {{ import {import_}; export {export}; next hop self; }};\n}}"
            )
    return "\n".join(parts) + "\n"
