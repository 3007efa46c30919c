"""BIRD's configuration for the routers and edges of the lab, made from the topology."""

from pathlib import Path

from lab.topology import VIP, LabNode, Topology

HOLD_TIME = 9  # seconds until a silent neighbour is given up; BIRD's own default is 240
# 1.5 s until a silent neighbour is given up by BFD; less would mistake a busy machine for a dead one
BFD = 'protocol bfd { interface "*" { min rx interval 300 ms; min tx interval 300 ms; multiplier 5; }; }'
# RFC 8326: who says so is the last choice
IMPORT = "filter { if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }"
STATE_FILE = "announce.conf"
WITHDRAWN = "disabled yes;\n"


def bird_configuration(topology: Topology, node: LabNode, state: Path) -> str:
    """The bird.conf of one node, whose state folder is `state`."""
    own_address = topology.ends(node.name)[0][0].address.ip
    parts = [f"router id {own_address};", "protocol device {}", BFD]
    if node.edge_id is None:
        parts += ["protocol direct { ipv4; }", "protocol kernel { ipv4 { import none; export all; }; }"]
        import_, export = IMPORT, "all"
    else:
        parts.append(_vip_protocols(state / STATE_FILE))
        import_, export = "none", "where source = RTS_STATIC"
    for own, other, bgp in topology.ends(node.name):
        if bgp:
            neighbour = topology.node(other.node)
            parts.append(
                f"protocol bgp {other.node} {{\n"
                f"  local {own.address.ip} as {node.asn};\n"
                f"  neighbor {other.address.ip} as {neighbour.asn};\n"
                f"  bfd on;\n"
                f"  hold time {HOLD_TIME};\n  connect retry time 1;\n  connect delay time 1;\n"
                f"  error wait time 1, 4;\n"
                f"  ipv4 {{ import {import_}; export {export}; next hop self; }};\n}}"
            )
    return "\n".join(parts) + "\n"


def _vip_protocols(state_file: Path) -> str:
    """The two protocols that the agent switches; what is included says whether a reload finds the first enabled."""
    return (
        f'protocol static vip {{\n  include "{state_file}";\n  ipv4;\n  route {VIP}/32 unreachable;\n}}\n'
        "protocol static vip_shutdown {\n  disabled;\n  ipv4 { preference 210; };\n"
        f"  route {VIP}/32 unreachable {{ bgp_community.add((65535, 0)); }};\n}}"
    )


def reset(state: Path) -> None:
    """As after a start of the host: nothing is announced before the agent says so."""
    path = state / STATE_FILE
    path.unlink(missing_ok=True)  # the agent's, who may be another user of the folder
    path.write_text(WITHDRAWN)
