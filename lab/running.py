"""A lab that stands, whatever it is made of: what scenarios do with it."""

import subprocess
from typing import Protocol

from lab.emulation.impairment import Impairment
from lab.errors import LabFailed
from lab.topology import LabLink, LabNode, Topology
from lab.wait import scale_limit


class Lab(Protocol):
    """Hosts to run commands on, edges to break and to mend."""

    name: str
    topology: Topology
    transports: tuple[str, ...]  # that the phone can use

    def command(self, node: str, *command: str) -> list[str]:
        """Return the command line that runs `command` on a node, with the node's environment."""

    def network_command(self, node: str, *command: str) -> list[str]:
        """The same, with the right to change the node's network."""

    def bird(self, node: str, *words: str) -> str:
        """Ask a node's BIRD by birdc; returns its answer. Raises `LabFailed`."""

    def prefer(self, carrier: str, neighbour: str | None) -> None:
        """Have a carrier take the VIP from `neighbour`, by BGP preference; None: as configured. Raises `LabFailed`."""

    def set_link(self, link: LabLink, impairment: Impairment) -> str:
        """Give a link delay and rate in each direction; returns how well. Raises `LabFailed`."""

    def clear_link(self, link: LabLink) -> None:
        """Take delay and rate away again; harmless where there is none."""

    def operate(self, *command: str) -> str:
        """Run `sennit COMMAND` as the operator; returns its output. Raises `LabFailed`."""

    def kill_server(self, edge: LabNode) -> None:
        """SIGKILL the edge's server; its agent, forwarder and BIRD live on."""

    def start_server(self, edge: LabNode) -> None:
        """Start it again, and wait until it is announced."""

    def lose(self, edge: LabNode) -> None:
        """Take the whole host away: its cables are pulled and everything on it killed."""

    def restore(self, edge: LabNode) -> None:
        """Bring the host back, and wait until it is announced."""

    def start_server_quietly(self, edge: LabNode) -> None:
        """Start it again, and wait until it answers: it may be drained. Raises `LabFailed`."""

    def memory(self, edge: LabNode) -> int:
        """Resident bytes of the edge's server, all its processes."""

    def stop_control(self) -> None:
        """Take the control plane away."""

    def start_control(self) -> None:
        """Bring it back, and wait until it answers. Raises `LabFailed`."""

    def wait_until_announced(self, edge: LabNode) -> None:
        """Wait until the edge's carrier routes the VIP to it. Raises `LabFailed`."""


def run(lab: Lab, node: str, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command on a node to its end, whatever its status."""
    return subprocess.run(
        lab.command(node, *command), capture_output=True, text=True, timeout=scale_limit(timeout)
    )


def run_network_command(lab: Lab, node: str, *command: str) -> None:
    """Change a node's network by a command. Raises `LabFailed`."""
    read_network(lab, node, *command)


def read_network(lab: Lab, node: str, *command: str) -> str:
    """Return what a command about a node's network prints. Raises `LabFailed`."""
    done = subprocess.run(
        lab.network_command(node, *command), capture_output=True, text=True, timeout=scale_limit(60)
    )
    if done.returncode:
        raise LabFailed(f"on {node}: {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
