"""Inside a container of the compose lab: give the interfaces their names, and the host its VIP and routes.

Docker names interfaces in no fixed order and sets a default route of its own, so they are found by address.
"""

import json
import subprocess
from pathlib import Path

from lab.errors import LabFailed
from lab.host import ip_commands
from lab.topology import Topology

READY = Path("/run/host-is-ready")  # what the health check looks for


def configure_namespace(topology: Topology, node: str) -> None:
    """Make this network namespace the node's. Needs CAP_NET_ADMIN; raises `LabFailed`."""
    found = {
        address["local"]: link["ifname"]
        for link in json.loads(_run_ip("-j", "address"))
        for address in link["addr_info"]
    }
    wanted = {str(end.address.ip): end.interface for end in topology.interfaces(node)}
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
    subprocess.run(["ip", "route", "flush", "default"], check=True, capture_output=True)
    for words in ip_commands(topology, node):
        _run_ip(*words.split())
    READY.touch()


def _run_ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise LabFailed(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
