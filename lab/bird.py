"""BIRD's configuration for the routers and edges of the lab, made from the topology."""

from pathlib import Path

from lab.ipv6 import PREFIX6, address_v6
from lab.topology import VIP, LabNode, Topology

HOLD_TIME = 9  # seconds until a silent neighbour is given up; BIRD's own default is 240
# 1.5 s until a silent neighbour is given up by BFD; less would mistake a busy machine for a dead one
BFD = 'protocol bfd { interface "*" { min rx interval 300 ms; min tx interval 300 ms; multiplier 5; }; }'
# RFC 8326: who says so is the last choice
IMPORT = "filter { if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }"
STATE_FILE = "announce.conf"
WITHDRAWN = "disabled yes;\n"
VERSIONS = (4, 6)
SUFFIX = {4: "", 6: "_v6"}  # of the name of a BGP session


def bird_configuration(topology: Topology, node: LabNode, state: Path) -> str:
    """The bird.conf of one node, whose state folder is `state`: a session of each IP version over each link."""
    own_address = topology.ends(node.name)[0][0].address.ip
    parts = [f"router id {own_address};", "protocol device {}", BFD]
    if node.edge_id is None:
        channels = " ".join(f"ipv{version};" for version in VERSIONS)
        parts.append(f"protocol direct {{ {channels} }}")
        parts += [
            f"protocol kernel {{ ipv{version} {{ import none; export all; }}; }}" for version in VERSIONS
        ]
        import_, export = IMPORT, "all"
    else:
        parts += [_vip_protocols(version, state / STATE_FILE) for version in VERSIONS]
        import_, export = "none", "where source = RTS_STATIC"
    for own, other, version in [
        (own, other, version) for own, other, bgp in topology.ends(node.name) if bgp for version in VERSIONS
    ]:
        neighbour = topology.node(other.node)
        ours, theirs = (end.address if version == 4 else address_v6(end) for end in (own, other))
        parts.append(
            f"protocol bgp {other.node}{SUFFIX[version]} {{\n"
            f"  local {ours.ip} as {node.asn};\n"
            f"  neighbor {theirs.ip} as {neighbour.asn};\n"
            f"  bfd on;\n"
            f"  hold time {HOLD_TIME};\n  connect retry time 1;\n  connect delay time 1;\n"
            f"  error wait time 1, 4;\n"
            f"  ipv{version} {{ import {import_}; export {export}; next hop self; }};\n}}"
        )
    return "\n".join(parts) + "\n"


def _vip_protocols(version: int, state_file: Path) -> str:
    """The two protocols that the agent switches; what is included says whether a reload finds the first enabled."""
    name, prefix = ("vip", f"{VIP}/32") if version == 4 else ("vip6", PREFIX6)
    return (
        f'protocol static {name} {{\n  include "{state_file}";\n  ipv{version};\n  route {prefix} unreachable;\n}}\n'
        f"protocol static {name}_shutdown {{\n  disabled;\n  ipv{version} {{ preference 210; }};\n"
        f"  route {prefix} unreachable {{ bgp_community.add((65535, 0)); }};\n}}"
    )


def reset(state: Path) -> None:
    """As after a start of the host: nothing is announced before the agent says so."""
    path = state / STATE_FILE
    path.unlink(missing_ok=True)  # the agent's, who may be another user of the folder
    path.write_text(WITHDRAWN)
