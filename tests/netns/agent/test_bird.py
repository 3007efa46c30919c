"""The VIP's route in a real BIRD: there while the edge lives, whatever becomes of the control plane."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest
from free_ports import free_port

from node.state.forwarder import write_applied_generation

pytestmark = pytest.mark.needs("bird", "netns")

PATIENT, IMPATIENT = (
    60,
    4,
)  # seconds of silence: more than any start of an agent takes, and what a test can wait for
VAGUE = 0.3  # seconds
SENNIT = Path(sys.executable).with_name("sennit")
CONFIGURATION = """
router id 10.255.0.1;
protocol device { }
protocol static vip {
  include "STATE";
  ipv4;
  route 203.0.113.1/32 unreachable;
}
protocol static vip_shutdown {
  disabled;
  ipv4 { preference 210; };
  route 203.0.113.1/32 unreachable { bgp_community.add((65535, 0)); };
}
protocol static vip6 {
  include "STATE";
  ipv6;
  route 2001:db8:cd::/112 unreachable;
}
protocol static vip6_shutdown {
  disabled;
  ipv6 { preference 210; };
  route 2001:db8:cd::/112 unreachable { bgp_community.add((65535, 0)); };
}
"""


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


class Node:
    """A BIRD in a namespace, a control plane and an agent on loopback, and the processes to end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace = f"bird-{os.getpid()}"
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.deadman_seconds = PATIENT

    def start(self, name: str, *command: object) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)

    def start_bird(self) -> None:
        state = self.folder / "announce.conf"
        if not state.exists():
            state.write_text("disabled yes;\n")
        (self.folder / "bird.conf").write_text(CONFIGURATION.replace("STATE", str(state)))
        bird = ["/usr/sbin/bird", "-f", "-c", self.folder / "bird.conf", "-s", self.folder / "bird.ctl"]
        self.start("bird", "ip", "netns", "exec", self.namespace, *bird, "-P", self.folder / "bird.pid")
        until(lambda: (self.folder / "bird.ctl").exists())

    def agent(self, *more: str) -> list[object]:
        return [
            SENNIT, "agent", "--state", self.folder / "node", "--control", f"http://127.0.0.1:{self.port}",
            "--name", "edge1", "--tunnel-v4", "10.255.0.1", "--enrolment-token-file", self.folder / "token",
            "--bird-socket", self.folder / "bird.ctl", "--bird-state-file", self.folder / "announce.conf",
            "--bird-protocol", "vip,vip6",
            "--probe-seconds", "0.1", "--no-vip-check", "--peer-port", "0",
            "--deadman-seconds", str(self.deadman_seconds),
            "--rehoming-seconds", "0.3", "--shutdown-seconds", "1.5", *more,
        ]  # fmt: skip

    def start_agent(self) -> None:
        self.start("agent", *self.agent())

    def start_control(self) -> None:
        control = [
            "--listen",
            f"127.0.0.1:{self.port}",
            "--state",
            self.folder / "control",
            "--lease-seconds",
            "1",
        ]
        self.start("control", SENNIT, "control", *control, "--admin-token-file", self.folder / "admin")
        until(lambda: subprocess.run(self.remote("vip", "list"), capture_output=True).returncode == 0)

    def remote(self, *words: str) -> list[str]:
        return [
            str(SENNIT),
            *words,
            "--control",
            f"http://127.0.0.1:{self.port}",
            "--token-file",
            f"{self.folder}/admin",
        ]

    def run(self, *words: str) -> None:
        subprocess.run(self.remote(*words), check=True, capture_output=True)

    def birdc(self, *words: str) -> str:
        command = ["/usr/sbin/birdc", "-s", str(self.folder / "bird.ctl"), *words]
        return subprocess.run(command, capture_output=True, text=True).stdout

    def announces(self) -> bool:
        """Whether both families are announced; fails where they differ for longer than it takes to switch them."""
        routes = ("203.0.113.1/32", "2001:db8:cd::/112")
        shown: list[bool] = []

        def families_agree() -> bool:
            said = self.birdc("show", "route")
            shown[:] = [route in said for route in routes]
            return len(set(shown)) == 1

        until(families_agree)
        return shown[0]

    def apply_table(self) -> None:
        """As the forwarder does: say that the newest table is applied."""
        text = json.loads((self.folder / "node" / "agent" / "table.json").read_text())
        write_applied_generation(self.folder / "node", text["generation"])

    def applied_and_announced(self) -> bool:
        self.apply_table()
        return self.announces()

    def end(self, name: str, number: int = signal.SIGTERM) -> int:
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(15)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    made = Node(folder)
    subprocess.run(["ip", "netns", "add", made.namespace], check=True)
    try:
        (folder / "admin").write_text("the-admin-token-of-this-test")
        made.start_bird()
        made.start_control()
        made.run("vip", "add", "main", "--v4", "203.0.113.1")
        made.run("enrolment-token", "create", "-o", str(folder / "token"))
        made.start_agent()
        until(lambda: (folder / "node" / "agent" / "table.json").exists())
        yield made
    finally:
        # the agent first: its watcher ends with it, and has no BIRD to wait for otherwise
        for name in sorted(made.processes, key=lambda name: name != "agent"):
            made.end(name)
        subprocess.run(["ip", "netns", "del", made.namespace], check=True)


@pytest.fixture
def node(started: Node) -> Node:
    """Everything runs, whatever the last test ended."""
    started.deadman_seconds = PATIENT
    for name, start in (("bird", started.start_bird), ("agent", started.start_agent)):
        if name not in started.processes:
            start()
    return started


class Healthy(BaseHTTPRequestHandler):
    """Says what an edge says that is well."""

    def do_GET(self) -> None:
        body = b'{"status": "ok", "reasons": [], "sessions": 0}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def edge(node: Node) -> Iterator[Callable[[], None]]:
    """An edge that is well; the value ends it."""
    path = node.folder / "node" / "edge" / "edge.sock"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    server = ThreadingUnixStreamServer(str(path), Healthy)
    threading.Thread(target=server.serve_forever, args=(0.05,)).start()

    def end() -> None:
        server.shutdown()
        server.server_close()  # the socket's file stays behind, as after a crash

    yield end
    end()


def test_the_vip_is_announced_while_the_edge_lives(node: Node, edge: Callable[[], None]) -> None:
    assert not node.announces(), "no forwarder has applied a table yet"
    until(node.applied_and_announced)

    assert node.end("control") == 0
    node.end("bird")
    node.start_bird()
    until(node.announces)  # BIRD lost the route, the control plane is away: the agent needs neither
    node.start_control()

    node.run("edges", "drain", "edge1")
    until(lambda: "(65535,0)" in node.birdc("show", "route", "primary", "all"))
    until(lambda: not node.announces())
    node.run("edges", "undrain", "edge1")
    until(node.applied_and_announced)
    assert "65535" not in node.birdc("show", "route", "all")

    edge()
    until(lambda: not node.announces())


def test_the_agent_withdraws_when_it_ends(node: Node, edge: Callable[[], None]) -> None:
    until(node.applied_and_announced)
    assert node.end("agent") == 0
    assert not node.announces()


def since(node: Node) -> float:
    """When the protocol of the VIP came up, in seconds of the day; BIRD's clock is vague where it is interrupted."""
    row = next(
        line.split() for line in node.birdc("show", "protocols").splitlines() if line.startswith("vip ")
    )
    assert row[3] == "up"
    hours, minutes, seconds = row[4].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def settled_since(node: Node) -> float:
    """The same, once it is so long ago that another start cannot be taken for it."""
    before, later = since(node), time.monotonic() + 4 * VAGUE
    until(lambda: time.monotonic() > later)
    return before


def test_a_reload_never_withdraws(node: Node, edge: Callable[[], None]) -> None:
    until(node.applied_and_announced)
    until(lambda: "disabled no" in (node.folder / "announce.conf").read_text())
    before = settled_since(node)
    for _ in range(5):
        assert "Reconfigured" in node.birdc("configure")
        assert node.announces()
    assert since(node) == pytest.approx(before, abs=VAGUE, rel=0), "the route was never taken back in between"


def test_an_agent_that_starts_again_in_place_moves_no_route(node: Node, edge: Callable[[], None]) -> None:
    until(node.applied_and_announced)
    before, process = settled_since(node), node.processes["agent"]
    for _ in range(2):
        log = node.folder / "agent.log"
        starts = log.read_text().count("starting again")
        process.send_signal(signal.SIGHUP)
        until(lambda log=log, starts=starts: log.read_text().count("starting again") > starts)
        sign = (node.folder / "node" / "agent" / "agent.alive").stat().st_mtime_ns
        until(lambda sign=sign: (node.folder / "node" / "agent" / "agent.alive").stat().st_mtime_ns > sign)
        assert node.announces()
    assert process.poll() is None
    assert since(node) == pytest.approx(before, abs=VAGUE, rel=0), "the route was never taken back in between"
    assert node.end("agent") == 0
    assert not node.announces(), "a stop withdraws"


def test_a_killed_agent_leaves_no_route_and_a_new_one_takes_over(
    node: Node, edge: Callable[[], None]
) -> None:
    until(node.applied_and_announced)
    before = settled_since(node)
    node.end("agent", signal.SIGKILL)
    sign = (node.folder / "node" / "agent" / "agent.alive").stat().st_mtime_ns
    node.start_agent()  # in time: as systemd starts it again
    until(lambda: (node.folder / "node" / "agent" / "agent.alive").stat().st_mtime_ns != sign)
    assert since(node) == pytest.approx(before, abs=VAGUE, rel=0), "an agent that is back moves no route"
    until(node.announces)
    node.end("agent")
    node.deadman_seconds = IMPATIENT
    node.start_agent()
    until(node.applied_and_announced)
    node.end("agent", signal.SIGKILL)
    last_sign = (node.folder / "node" / "agent" / "agent.alive").stat().st_mtime  # of the monotonic clock
    until(lambda: not node.announces())
    assert time.monotonic() - last_sign > IMPATIENT - 0.5
    assert "disabled yes" in (node.folder / "announce.conf").read_text()


def test_an_agent_that_hangs_is_withdrawn_for(node: Node, edge: Callable[[], None]) -> None:
    node.end("agent")
    node.deadman_seconds = IMPATIENT
    node.start_agent()
    until(node.applied_and_announced)
    node.processes["agent"].send_signal(signal.SIGSTOP)
    until(lambda: not node.announces())
    node.processes["agent"].send_signal(signal.SIGCONT)
    until(node.applied_and_announced)
    node.end("agent")


def test_the_units_stop_action_withdraws(node: Node, edge: Callable[[], None]) -> None:
    until(node.applied_and_announced)
    node.processes["agent"].send_signal(signal.SIGSTOP)
    done = subprocess.run([str(word) for word in node.agent("--withdraw")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not node.announces()
    node.end("bird")
    done = subprocess.run([str(word) for word in node.agent("--withdraw")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be withdrawn" in done.stderr
    node.processes["agent"].send_signal(signal.SIGCONT)
