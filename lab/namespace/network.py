"""Build the network out of namespaces and veth pairs, and remove every trace of it."""

import subprocess
from pathlib import Path

from lab.errors import LabFailed
from lab.host import ip_commands, kernel_settings
from lab.ipv6 import ip_commands_v6, kernel_settings_v6
from lab.namespace.place import LabFolder
from lab.topology import BACKBONE, Topology


def build_network(place: LabFolder, topology: Topology) -> None:
    """Make namespaces, links, addresses, routes and settings. Raises `LabFailed`."""
    for name in [*(node.name for node in topology.nodes), BACKBONE]:
        _run("ip", "netns", "add", place.namespace(name))
    _run_batch(_ip_commands(place, topology))
    for node in topology.nodes:
        settings = kernel_settings(topology, node.name) | kernel_settings_v6(topology, node.name)
        pairs = [f"{key}={value}" for key, value in settings.items()]
        _run(*place.enter(node.name), "sysctl", "-q", "-w", *pairs)


def _ip_commands(place: LabFolder, topology: Topology) -> list[str]:
    bridge = place.namespace(BACKBONE)
    lines = [f"-n {bridge} link add bridge type bridge", f"-n {bridge} link set bridge up"]
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
    for node in topology.nodes:
        space = place.namespace(node.name)
        words_of_node = ip_commands(topology, node.name) + ip_commands_v6(topology, node.name)
        lines += [f"-n {space} {words}" for words in words_of_node]
    return lines


def _run_batch(lines: list[str]) -> None:
    # ip's batch mode takes no -n: a command of its own for each line that has one
    for line in lines:
        _run("ip", *line.split())


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LabFailed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def existing_namespaces(place: LabFolder) -> list[str]:
    """The lab's namespaces that there are."""
    folder = Path("/run/netns")
    return sorted(path.name for path in folder.glob(f"{place.name}-*")) if folder.is_dir() else []


def remove_namespaces(place: LabFolder) -> None:
    """Delete the namespaces; their links go with them."""
    for space in existing_namespaces(place):
        subprocess.run(["ip", "netns", "del", space], check=True, capture_output=True)
