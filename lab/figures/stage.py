"""What every figure is measured on: the namespace lab, a client on the phone, and a peer on the first path's edge."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from lab.emulation.calibration import Calibration
from lab.emulation.impairment import Impairment
from lab.emulation.namespace import SlowLink
from lab.errors import LabFailed
from lab.figures.peer import BLOCK
from lab.figures.priority import COMMAND, raise_priority
from lab.namespace.bringup import print_progress
from lab.namespace.daemons import run
from lab.namespace.running import NamespaceLab
from lab.scenarios.download import nearest_to_first_path
from lab.secrets import SERVICE
from lab.topology import VIP, LabLink
from lab.wait import wait_for


class FigureNetwork:
    """The lab with everything started. Methods raise `LabFailed`."""

    def __init__(self, lab: NamespaceLab) -> None:
        self.lab = lab
        self.place = lab.place
        self.edge = nearest_to_first_path(lab)
        self.links = [link for link in lab.topology.links if link.left.node == "phone"]
        self.paths = [link.left.interface for link in self.links]
        self._phone: subprocess.Popen[str]

    @contextlib.contextmanager
    def open(self) -> Iterator["FigureNetwork"]:
        """Start client and peer; end them, and make the links plain cables, afterwards."""
        for link in self.links:
            self.slow_link(link).clear()
        address = next(str(own.address.ip) for own, _, bgp in self.lab.topology.ends(self.edge.name) if bgp)
        control = self.place.node("control")
        certificate = self.place.node(self.edge.name) / SERVICE
        log = self.place.log(self.edge.name, "figures-peer")
        with contextlib.ExitStack() as stack:
            stack.callback(self.make_plain)
            with log.open("w") as output:
                peer = self._start(
                    self.edge.name,
                    *("peer", "--listen", address, "--certificate", f"{certificate}.pem"),
                    *("--key", f"{certificate}.key"),
                    stderr=output,
                )
            stack.callback(_end_process, peer)
            wait_for("the peer's start", lambda: "ready" in log.read_text(), 20, log)
            paths = [word for path in self.paths for word in ("--path", path)]
            self._phone = self._start(
                "phone", "phone", "--vip", VIP, "--peer", address, "--ca", str(control / "ca.pem"), *paths
            )
            stack.callback(_end_process, self._phone)
            edges = [pid for edge in self.lab.topology.edges() for pid in self.lab.pids(edge, "edge")]
            stack.enter_context(raise_priority(edges))
            yield self

    def ask(self, do: str, **task: Any) -> Any:
        """Have the client do something; returns its result."""
        assert self._phone.stdin is not None
        assert self._phone.stdout is not None
        self._phone.stdin.write(json.dumps({"do": do, **task}) + "\n")
        self._phone.stdin.flush()
        line = self._phone.stdout.readline()
        if not line:
            raise LabFailed(f"the client of the figures ended while at {do}")
        answer = json.loads(line)
        if "error" in answer:
            raise LabFailed(f"{do} {task}: {answer['error']}")
        return answer["result"]

    def serve_file(self, size: int) -> None:
        """Have a file of `size` bytes at the origin, and in the edge's store."""
        path = self.place.node("origin") / f"figure-{size}.bin"
        if not path.exists():
            with path.open("wb") as file:
                for start in range(0, size, len(BLOCK)):
                    file.write(BLOCK[: size - start])
        self.ask("bulk", contender="smkex-tcp", size=size)

    def forget_file(self, size: int) -> None:
        """Take the file away at the origin: the large ones are wanted once."""
        (self.place.node("origin") / f"figure-{size}.bin").unlink()

    def forget_fast_open(self) -> None:
        """Take the cookies of earlier connections from the phone's kernel."""
        run(self.place, "phone", "ip", "tcp_metrics", "flush")

    def set_links(self, *impairments: Impairment, own_emulator: bool = False) -> list[Calibration]:
        """Make the phone's links slow, path by path."""
        calibrations = []
        for link, impairment in zip(self.links, impairments, strict=True):
            calibrations.append(self.slow_link(link, own_emulator=own_emulator).set(impairment))
            print_progress(f"{link.name}: {impairment}: {calibrations[-1]}")
        return calibrations

    def make_plain(self) -> None:
        for link in self.links:
            self.slow_link(link).clear()

    def slow_link(self, link: LabLink, *, own_emulator: bool = False) -> SlowLink:
        return SlowLink(self.place, self.lab.topology, link, own_emulator=own_emulator)

    def _start(self, node: str, *words: str, stderr: Any = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *self.place.enter(node), sys.executable, "-m", f"lab.figures.{words[0]}", *words[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )


def _end_process(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate(timeout=20)
