"""The compose lab, as scenarios see it: driven by `docker compose` in the folder of docker-compose.yml."""

import json
import os
import shutil
import subprocess

from lab.compose.slow_link import clear_link, set_link
from lab.emulation.impairment import Impairment
from lab.errors import LabFailed
from lab.ipv6 import PREFIX6, address_v6
from lab.preference import prefer_neighbour
from lab.topology import VIP, LabLink, LabNode, Topology
from lab.wait import wait_for

# an edge's containers beside its server, which is named as the edge
BESIDE = ("agent", "forwarder", "bird", "net")


class ComposeLab:
    """Implements `lab.running.Lab`."""

    name = "compose"

    def __init__(self, topology: Topology) -> None:
        """Raise `LabFailed` where the lab is down."""
        if shutil.which("docker") is None:
            raise LabFailed("there is no docker command here")
        self.topology = topology
        if "phone" not in self._running():
            raise LabFailed(
                "the lab is down: `docker compose up -d --wait` in the folder of docker-compose.yml"
            )
        # compose.mptcp.yml says so
        has_mptcp = (
            _run_compose("exec", "-T", "phone", "printenv", "SENNIT_LAB_MPTCP", check=False).strip() == "1"
        )
        self.transports: tuple[str, ...] = ("tcp", "mptcp") if has_mptcp else ("tcp",)

    def command(self, node: str, *command: str) -> list[str]:
        return ["docker", "compose", "exec", "-T", node, *command]

    def network_command(self, node: str, *command: str) -> list[str]:
        return ["docker", "compose", "exec", "-T", f"{node}-net", *command]

    def bird(self, node: str, *words: str) -> str:
        service = node if self.topology.node(node).edge_id is None else f"{node}-bird"
        return _run_compose("exec", "-T", service, "birdc", "-s", "/var/lib/sennit/bird.ctl", *words)

    def prefer(self, carrier: str, neighbour: str | None) -> None:
        usual, changed = "/run/bird/bird.conf", "/run/bird/changed.conf"
        if neighbour is not None:
            text = prefer_neighbour(_run_compose("exec", "-T", carrier, "cat", usual), neighbour)
            _run_compose("exec", "-T", carrier, "sh", "-c", f"cat > {changed}", text=text)
        self.bird(carrier, "configure", f'"{usual if neighbour is None else changed}"')

    def set_link(self, link: LabLink, impairment: Impairment) -> str:
        return set_link(self._execute, link, impairment)

    def clear_link(self, link: LabLink) -> None:
        clear_link(self._execute, link)

    def _execute(self, node: str, *command: str) -> tuple[int, str]:
        done = subprocess.run(self.network_command(node, *command), capture_output=True, text=True)
        return done.returncode, done.stderr

    def operate(self, *command: str) -> str:
        return _run_compose("exec", "-T", "control", "sennit", *command)

    def kill_server(self, edge: LabNode) -> None:
        _run_compose("kill", edge.name)

    def start_server(self, edge: LabNode) -> None:
        _run_compose("up", "-d", "--wait", "--no-recreate", edge.name)
        self.wait_until_announced(edge)

    def lose(self, edge: LabNode) -> None:
        links = [end.interface for end in self.topology.interfaces(edge.name)]
        script = "; ".join(f"ip link set {name} down" for name in links)
        _run_compose("exec", "-T", f"{edge.name}-net", "sh", "-c", script)
        _run_compose("kill", edge.name, *(f"{edge.name}-{service}" for service in BESIDE))

    def restore(self, edge: LabNode) -> None:
        _run_compose(
            "up", "-d", "--wait", "--no-recreate", edge.name, *(f"{edge.name}-{one}" for one in BESIDE)
        )
        self.wait_until_announced(edge)

    def start_server_quietly(self, edge: LabNode) -> None:
        _run_compose("up", "-d", "--wait", "--no-recreate", edge.name)

    def memory(self, edge: LabNode) -> int:
        script = "cat /proc/[0-9]*/statm"
        pages = [
            line.split()[1] for line in _run_compose("exec", "-T", edge.name, "sh", "-c", script).splitlines()
        ]
        return sum(int(count) for count in pages) * 4096

    def stop_control(self) -> None:
        _run_compose("kill", "control")

    def start_control(self) -> None:
        _run_compose("up", "-d", "--wait", "--no-recreate", "control")

    def wait_until_announced(self, edge: LabNode) -> None:
        own, carrier = next((own, other.node) for own, other, bgp in self.topology.ends(edge.name) if bgp)
        for version, prefix, address in ((4, VIP, own.address.ip), (6, PREFIX6, address_v6(own).ip)):
            command = ("exec", "-T", carrier, "ip", f"-{version}", "route", "show", prefix)
            wait_for(
                f"a route of {carrier} to {prefix} through {edge.name}",
                lambda command=command, address=address: (  # type: ignore[misc]
                    f"via {address} " in _run_compose(*command, check=False)
                ),
                40,
            )

    @staticmethod
    def _running() -> set[str]:
        listed = _run_compose("ps", "--format", "json", check=False)
        return {json.loads(line)["Service"] for line in listed.splitlines() if line.startswith("{")}


def _run_compose(*words: str, check: bool = True, text: str | None = None) -> str:
    """`docker compose WORDS` with `text` as its input; its output. Raises `LabFailed`."""
    done = subprocess.run(
        ["docker", "compose", "--progress", "quiet", *words],
        capture_output=True,
        text=True,
        env=os.environ,
        input=text,
    )
    if check and done.returncode:
        raise LabFailed(f"docker compose {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
