"""Inside a container of the compose lab: give the interfaces their names, and the host its addresses and routes.

Docker names interfaces in no fixed order and sets default routes of its own, so they are found by address.
"""

import json
import subprocess
from pathlib import Path

from balancer.agent.probe.namespace import far_end_commands, near_end_commands
from lab.compose.probe_cable import probe_ends
from lab.errors import LabFailed
from lab.host import ip_commands
from lab.ipv6 import ip_commands_v6
from lab.topology import End, Topology

READY = Path("/run/host-is-ready")  # what the health check looks for
VERSIONS = (4, 6)


def configure_namespace(topology: Topology, node: str) -> None:
    """Make this network namespace the node's. Needs CAP_NET_ADMIN; raises `LabFailed`."""
    ends, commands = topology.interfaces(node), ip_commands(topology, node) + ip_commands_v6(topology, node)
    edge_id = topology.node(node).edge_id
    if edge_id is not None:
        ends.append(probe_ends(topology.node(node))[0])
        commands += near_end_commands(edge_id, VERSIONS)
    _set_up_host(node, ends, commands)


def configure_probe_namespace(topology: Topology, edge: str) -> None:
    """Make this network namespace the one that an edge is probed from. Needs CAP_NET_ADMIN; raises `LabFailed`."""
    node = topology.node(edge)
    if node.edge_id is None:
        raise LabFailed(f"{edge} is no edge")
    _set_up_host(edge, [probe_ends(node)[1]], far_end_commands(node.edge_id, VERSIONS))


def _set_up_host(node: str, ends: list[End], commands: list[str]) -> None:
    _name_interfaces(node, ends)
    for version in VERSIONS:
        subprocess.run(["ip", f"-{version}", "route", "flush", "default"], check=True, capture_output=True)
    for words in commands:
        _run_ip(*words.split())
    READY.touch()


def _name_interfaces(node: str, ends: list[End]) -> None:
    found = {
        address["local"]: link["ifname"]
        for link in json.loads(_run_ip("-j", "address"))
        for address in link["addr_info"]
    }
    wanted = {str(end.address.ip): end.interface for end in ends}
    if missing := sorted(set(wanted) - set(found)):
        raise LabFailed(f"{node} has no interface with {', '.join(missing)}: compare docker-compose.yml")
    # through unused names first: a wanted name may be another interface's present one
    renamed = {
        found[address]: (f"new{number}", name) for number, (address, name) in enumerate(wanted.items())
    }
    for old, (between, _) in renamed.items():
        _run_ip("link", "set", old, "down")
        _run_ip("link", "set", old, "name", between)
    for between, name in renamed.values():
        _run_ip("link", "set", between, "name", name)
        _run_ip("link", "set", name, "up")


def _run_ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise LabFailed(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
