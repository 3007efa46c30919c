"""The namespace lab, as scenarios see it."""

import contextlib
import os
import signal
import subprocess
import sys

from lab.emulation.impairment import Impairment
from lab.emulation.namespace import SlowLink
from lab.errors import LabFailed
from lab.namespace import bringup, daemons
from lab.namespace.place import LabFolder
from lab.namespace.processes import wait_for_lab
from lab.preference import prefer_neighbour
from lab.resolver import resolver_environment
from lab.topology import LabLink, LabNode, Topology
from node.state.catalogue import EDGE_SOCKET

DAEMONS = ("edge", "agent", "forwarder", "probe", "control", "origin")


class NamespaceLab:
    """Implements `lab.running.Lab`."""

    name = "namespaces"
    transports: tuple[str, ...] = ("tcp", "mptcp")

    def __init__(self, place: LabFolder, topology: Topology) -> None:
        """Raise `LabFailed` where the lab is down."""
        if not bringup.is_up(place):
            raise LabFailed("the lab is down: `sennit lab up`")
        self.place = place
        self.topology = topology

    def command(self, node: str, *command: str) -> list[str]:
        settings = [f"{name}={value}" for name, value in resolver_environment(self.topology, node).items()]
        settings.append(f"SENNIT_KNOWN_HOSTS={self.place.node(node) / 'known_hosts'}")
        # scenarios show where routes lead: no command is to know better from an earlier one
        settings.append("SENNIT_EDGE_CACHE=none")
        program = {"sennit": daemons.sennit_program(), "python": sys.executable}.get(command[0], command[0])
        path = f"PATH={os.path.dirname(daemons.sennit_program())}:{os.environ.get('PATH', os.defpath)}"
        return [*self.place.enter(node), "env", path, *settings, program, *command[1:]]

    def network_command(self, node: str, *command: str) -> list[str]:
        return self.command(node, *command)

    def bird(self, node: str, *words: str) -> str:
        return daemons.run(self.place, node, "birdc", "-s", str(self.place.node(node) / "bird.ctl"), *words)

    def prefer(self, carrier: str, neighbour: str | None) -> None:
        usual = self.place.node(carrier) / "bird.conf"
        changed = usual.with_name("bird.changed.conf")
        if neighbour is not None:
            changed.write_text(prefer_neighbour(usual.read_text(), neighbour))
        self.bird(carrier, "configure", f'"{usual if neighbour is None else changed}"')

    def set_link(self, link: LabLink, impairment: Impairment) -> str:
        return str(SlowLink(self.place, self.topology, link).set(impairment))

    def clear_link(self, link: LabLink) -> None:
        SlowLink(self.place, self.topology, link).clear()

    def operate(self, *command: str) -> str:
        access = bringup.command_access(self.place, self.topology)
        return daemons.run(self.place, "control", daemons.sennit_program(), *command, *access)

    def kill_server(self, edge: LabNode) -> None:
        for pid in self.pids(edge, "edge"):
            os.kill(pid, signal.SIGKILL)

    def start_server(self, edge: LabNode) -> None:
        bringup.start_server(self.place, self.topology, edge)
        self.wait_until_announced(edge)

    def lose(self, edge: LabNode) -> None:
        for end in self.topology.interfaces(edge.name):
            daemons.run(self.place, edge.name, "ip", "link", "set", end.interface, "down")
        for pid in self._pids(edge):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def restore(self, edge: LabNode) -> None:
        for end in self.topology.interfaces(edge.name):
            daemons.run(self.place, edge.name, "ip", "link", "set", end.interface, "up")
        bringup.start_edge(self.place, self.topology, edge)

    def start_server_quietly(self, edge: LabNode) -> None:
        bringup.start_server(self.place, self.topology, edge)
        socket = EDGE_SOCKET.path_in(self.place.node(edge.name))
        ask = ["curl", "-fsS", "--unix-socket", str(socket), "http://edge/health"]
        wait_for_lab(
            self.place,
            f"an answer of {edge.name}'s server",
            lambda: subprocess.run(ask, capture_output=True).returncode == 0,
            30,
        )

    def memory(self, edge: LabNode) -> int:
        return sum(_resident_bytes(pid) for pid in self.pids(edge, "edge"))

    def stop_control(self) -> None:
        for pid in self.pids(self.topology.node("control"), "control"):
            os.kill(pid, signal.SIGKILL)

    def start_control(self) -> None:
        daemons.spawn_daemon(
            self.place, "control", "control", *daemons.control_command(self.place, self.topology)
        )
        wait_for_lab(self.place, "an answer of the control plane", self._control_answers, 30)

    def _control_answers(self) -> bool:
        try:
            return bool(self.operate("edges", "list"))
        except LabFailed:
            return False

    def wait_until_announced(self, edge: LabNode) -> None:
        bringup.wait_until_announced(self.place, self.topology, edge)

    def pids(self, node: LabNode, daemon: str) -> list[int]:
        """The processes of a node that run `sennit DAEMON`."""
        return [pid for pid in self._pids(node) if self._runs(pid, daemon)]

    def daemons(self) -> list[tuple[int, str]]:
        """(process id, name) of every daemon of ours."""
        return [
            (pid, f"sennit {name}")
            for node in self.topology.nodes
            for pid in self._pids(node)
            for name in DAEMONS
            if self._runs(pid, name)
        ]

    def _pids(self, node: LabNode) -> list[int]:
        """All processes of a host; an edge's prober is in a namespace of its own."""
        found: list[int] = []
        for name in (node.name, daemons.prober_node(node)):
            if self.place.namespace_file(name).exists():
                found += _pids_in(self.place.namespace(name))
        return found

    def send(self, node: LabNode, daemon: str, number: signal.Signals) -> None:
        """A signal to a host's `sennit DAEMON`, to its bird, or to all of its processes."""
        for pid in self._pids(node):
            if daemon in ("all", _program_name(pid)) or self._runs(pid, daemon):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def start(self, node: LabNode, daemon: str, *options: str) -> None:
        """Start a daemon that was killed, as systemd would."""
        bringup.start_daemon(self.place, self.topology, node, daemon, *options)

    @staticmethod
    def _runs(pid: int, subcommand: str) -> bool:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
            words = file.read().split("\0")
            return any(
                word.endswith("/sennit") and words[at + 1] == subcommand for at, word in enumerate(words[:-1])
            )
        return False


def _pids_in(space: str) -> list[int]:
    done = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True, check=True)
    return [int(pid) for pid in done.stdout.split()]


def _program_name(pid: int) -> str:
    """The name of what a process runs: bird, where it is no daemon of ours."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
    return ""


def _resident_bytes(pid: int) -> int:
    """Of a process, in bytes; 0 when it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
