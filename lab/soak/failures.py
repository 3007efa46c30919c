"""What goes wrong during a soak, in turn: each failure lasts for a while and is then mended."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from lab.namespace import daemons
from lab.namespace.running import NamespaceLab
from lab.topology import LabNode


@dataclass(frozen=True, slots=True)
class Failure:
    """`breaks` and `mends` raise `LabFailed`; a failure that mends itself has nothing to do for the second."""

    name: str
    breaks: Callable[[], object]
    mends: Callable[[], object]
    ends_servers: bool = False


def all_failures(lab: NamespaceLab) -> list[Failure]:
    """Every failure of the lab, once: servers, hosts, drains, interfaces, daemons."""
    found: list[Failure] = []
    for edge in lab.topology.edges():
        found += [_kill_server(lab, edge), _drain_edge(lab, edge)]
    found += [_lose_interface(lab, end.interface) for end, _, _ in lab.topology.ends("phone")]
    first = lab.topology.edges()[0]
    found += [
        _lose_host(lab, first),
        _kill_daemon(lab, first, "forwarder"),
        _kill_daemon(lab, first, "agent"),
    ]
    return found


def _kill_server(lab: NamespaceLab, edge: LabNode) -> Failure:
    return Failure(
        f"{edge.name}'s server killed",
        lambda: lab.kill_server(edge),
        lambda: lab.start_server(edge),
        ends_servers=True,
    )


def _lose_host(lab: NamespaceLab, edge: LabNode) -> Failure:
    return Failure(
        f"{edge.name}'s host lost", lambda: lab.lose(edge), lambda: lab.restore(edge), ends_servers=True
    )


def _drain_edge(lab: NamespaceLab, edge: LabNode) -> Failure:
    def back() -> None:
        lab.operate("edges", "undrain", edge.name)
        lab.wait_until_announced(edge)

    return Failure(f"{edge.name} drained", lambda: lab.operate("edges", "drain", edge.name), back)


def _lose_interface(lab: NamespaceLab, interface: str) -> Failure:
    """The phone's interface goes, and its default route with it, as when Wi-Fi is out of reach."""
    route, gateway = next(pair for pair in lab.topology.gateways("phone") if pair[0].interface == interface)

    def link(state: str) -> None:
        daemons.run(lab.place, "phone", "ip", "link", "set", interface, state)

    def back() -> None:
        link("up")
        words = f"ip route replace default via {gateway} dev {interface} metric {route.metric}"
        daemons.run(lab.place, "phone", *words.split())

    return Failure(f"phone without {interface}", lambda: link("down"), back)


def _kill_daemon(lab: NamespaceLab, edge: LabNode, daemon: str) -> Failure:
    """SIGKILL to a daemon of the edge, and its start again, as systemd would."""

    def again() -> None:
        command = {
            "agent": lambda: daemons.agent_command(lab.place, lab.topology, edge),
            "forwarder": lambda: daemons.forwarder_command(lab.place, edge, "run"),
        }[daemon]()
        daemons.spawn_daemon(lab.place, edge.name, daemon, *command)

    def kill() -> None:
        for pid in lab.pids(edge, daemon):
            os.kill(pid, signal.SIGKILL)

    return Failure(f"{edge.name}'s {daemon} killed", kill, again)
