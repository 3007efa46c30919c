"""What goes wrong during a soak, in turn: each failure lasts for a while and is then mended."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from lab.namespace import daemons
from lab.namespace.running import NamespaceLab
from lab.topology import Node


@dataclass(frozen=True, slots=True)
class Failure:
    """`breaks` and `mends` raise `LabFailed`; a failure that mends itself has nothing to do for the second."""

    name: str
    breaks: Callable[[], object]
    mends: Callable[[], object]
    ends_servers: bool = False


def failures(lab: NamespaceLab) -> list[Failure]:
    """Every failure of the lab, once: servers, hosts, drains, interfaces, daemons."""
    found: list[Failure] = []
    for edge in lab.topology.edges():
        found += [_killed(lab, edge), _drained(lab, edge)]
    found += [_interface(lab, end.interface) for end, _, _ in lab.topology.ends("phone")]
    first = lab.topology.edges()[0]
    found += [_lost(lab, first), _daemon(lab, first, "forwarder"), _daemon(lab, first, "agent")]
    return found


def _killed(lab: NamespaceLab, edge: Node) -> Failure:
    return Failure(
        f"{edge.name}'s server killed",
        lambda: lab.kill_server(edge),
        lambda: lab.start_server(edge),
        ends_servers=True,
    )


def _lost(lab: NamespaceLab, edge: Node) -> Failure:
    return Failure(
        f"{edge.name}'s host lost", lambda: lab.lose(edge), lambda: lab.restore(edge), ends_servers=True
    )


def _drained(lab: NamespaceLab, edge: Node) -> Failure:
    def back() -> None:
        lab.operate("edges", "undrain", edge.name)
        lab.wait_until_announced(edge)

    return Failure(f"{edge.name} drained", lambda: lab.operate("edges", "drain", edge.name), back)


def _interface(lab: NamespaceLab, interface: str) -> Failure:
    """The phone's interface goes, and its default route with it, as when Wi-Fi is out of reach."""
    route, gateway = next(pair for pair in lab.topology.gateways("phone") if pair[0].interface == interface)

    def link(state: str) -> None:
        daemons.run(lab.place, "phone", "ip", "link", "set", interface, state)

    def back() -> None:
        link("up")
        words = f"ip route replace default via {gateway} dev {interface} metric {route.metric}"
        daemons.run(lab.place, "phone", *words.split())

    return Failure(f"phone without {interface}", lambda: link("down"), back)


def _daemon(lab: NamespaceLab, edge: Node, daemon: str) -> Failure:
    """SIGKILL to a daemon of the edge, and its start again, as systemd would."""

    def again() -> None:
        command = {
            "agent": lambda: daemons.agent(lab.place, lab.topology, edge),
            "forwarder": lambda: daemons.forwarder(lab.place, edge, "run"),
        }[daemon]()
        daemons.start(lab.place, edge.name, daemon, *command)

    def kill() -> None:
        for pid in lab.pids(edge, daemon):
            os.kill(pid, signal.SIGKILL)

    return Failure(f"{edge.name}'s {daemon} killed", kill, again)
