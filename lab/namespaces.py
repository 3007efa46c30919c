"""Build the network out of namespaces and veth pairs, and remove every trace of it."""

import subprocess
from pathlib import Path

from lab.place import Place
from lab.topology import BACKBONE, VIP, Topology


class NetworkFailed(Exception):
    """A namespace, link or route could not be made."""


def build(place: Place, topology: Topology) -> None:
    """Make namespaces, links, addresses, routes and settings. Raises `NetworkFailed`."""
    for node in topology.nodes:
        _run("ip", "netns", "add", place.namespace(node.name))
    _batch(_commands(place, topology))
    for node in topology.nodes:
        settings = {"net.ipv4.conf.all.rp_filter": "2" if node.name == "phone" else "0"}
        if node.forwards:
            settings["net.ipv4.ip_forward"] = "1"
        pairs = [f"{key}={value}" for key, value in settings.items()]
        _run(*place.enter(node.name), "sysctl", "-q", "-w", *pairs)


def _commands(place: Place, topology: Topology) -> list[str]:
    lines: list[str] = []
    for node in topology.nodes:
        lines.append(f"-n {place.namespace(node.name)} link set lo up")
        if node.edge_id is not None:
            lines.append(f"-n {place.namespace(node.name)} address add {VIP}/32 dev lo")
    bridge = place.namespace(BACKBONE)
    lines += [f"-n {bridge} link add bridge type bridge", f"-n {bridge} link set bridge up"]
    for link in topology.links:
        left, right = link.left, link.right
        lines.append(
            f"link add {left.interface} netns {place.namespace(left.node)} type veth"
            f" peer name {right.interface} netns {place.namespace(right.node)}"
        )
    for end in topology.backbone:
        lines += [
            f"link add {end.interface} netns {place.namespace(end.node)} type veth peer name {end.node} netns {bridge}",
            f"-n {bridge} link set {end.node} master bridge up",
        ]
    for end in [end for link in topology.links for end in (link.left, link.right)] + list(topology.backbone):
        space = place.namespace(end.node)
        lines += [
            f"-n {space} address add {end.address} dev {end.interface}",
            f"-n {space} link set {end.interface} up",
        ]
    for route in topology.routes:
        other = next(o for own, o, _ in topology.ends(route.node) if own.interface == route.interface)
        metric = f" metric {route.metric}" if route.metric else ""
        lines.append(
            f"-n {place.namespace(route.node)} route add default via {other.address.ip}"
            f" dev {route.interface}{metric}"
        )
    return lines


def _batch(lines: list[str]) -> None:
    # ip's batch mode takes no -n: a command of its own for each line that has one
    for line in lines:
        _run("ip", *line.split())


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NetworkFailed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def existing(place: Place) -> list[str]:
    """The lab's namespaces that there are."""
    folder = Path("/run/netns")
    return sorted(path.name for path in folder.glob(f"{place.name}-*")) if folder.is_dir() else []


def remove(place: Place) -> None:
    """Delete the namespaces; their links go with them."""
    for space in existing(place):
        subprocess.run(["ip", "netns", "del", space], check=True, capture_output=True)
