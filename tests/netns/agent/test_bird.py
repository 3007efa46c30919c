"""The VIP's route in a real BIRD: there while the edge lives, whatever becomes of the control plane."""

import os
import signal
import socket
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

pytestmark = pytest.mark.needs("bird", "netns")

SENNIT = Path(sys.executable).with_name("sennit")
CONFIGURATION = """
router id 10.255.0.1;
protocol device { }
protocol static vip { disabled; ipv4; route 203.0.113.1/32 unreachable; }
"""


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


class Node:
    """A BIRD in a namespace, a control plane and an agent on loopback, and the processes to end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace = f"bird-{os.getpid()}"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: object) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)

    def start_bird(self) -> None:
        (self.folder / "bird.conf").write_text(CONFIGURATION)
        bird = ["/usr/sbin/bird", "-f", "-c", self.folder / "bird.conf", "-s", self.folder / "bird.ctl"]
        self.start("bird", "ip", "netns", "exec", self.namespace, *bird, "-P", self.folder / "bird.pid")
        until(lambda: (self.folder / "bird.ctl").exists())

    def start_agent(self) -> None:
        self.start(
            "agent", SENNIT, "agent", "--state", self.folder / "node", "--control", f"http://127.0.0.1:{self.port}",
            "--name", "edge1", "--tunnel-v4", "10.255.0.1", "--enrolment-token-file", self.folder / "token",
            "--bird-socket", self.folder / "bird.ctl", "--probe-seconds", "0.1",
        )  # fmt: skip

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

    def announces(self) -> bool:
        command = ["/usr/sbin/birdc", "-s", str(self.folder / "bird.ctl"), "show", "route"]
        return "203.0.113.1/32" in subprocess.run(command, capture_output=True, text=True).stdout

    def end(self, name: str, number: int = signal.SIGTERM) -> int:
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(15)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    subprocess.run(["ip", "netns", "add", made.namespace], check=True)
    try:
        (tmp_path / "admin").write_text("the-admin-token-of-this-test")
        made.start_bird()
        made.start_control()
        made.run("vip", "add", "main", "--v4", "203.0.113.1")
        made.run("enrolment-token", "create", "-o", str(tmp_path / "token"))
        made.start_agent()
        until(lambda: (tmp_path / "node" / "table.json").exists())
        yield made
    finally:
        for name in list(made.processes):
            made.end(name, signal.SIGKILL if name == "agent" else signal.SIGTERM)
        subprocess.run(["ip", "netns", "del", made.namespace], check=True)


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
    path = node.folder / "node" / "edge.sock"
    server = ThreadingUnixStreamServer(str(path), Healthy)
    threading.Thread(target=server.serve_forever, args=(0.05,)).start()

    def end() -> None:
        server.shutdown()
        server.server_close()  # the socket's file stays behind, as after a crash

    yield end
    end()


def test_the_vip_is_announced_while_the_edge_lives(node: Node, edge: Callable[[], None]) -> None:
    assert not node.announces(), "no forwarder has applied a table yet"
    (node.folder / "node" / "applied.json").write_text('{"generation": 1}')
    until(node.announces)

    assert node.end("control") == 0
    node.end("bird")
    node.start_bird()
    until(node.announces)  # BIRD lost the route, the control plane is away: the agent needs neither
    node.start_control()

    node.run("edges", "drain", "edge1")
    until(lambda: not node.announces())
    node.run("edges", "undrain", "edge1")
    until(node.announces)

    edge()
    until(lambda: not node.announces())


def test_the_agent_withdraws_when_told_to_end(node: Node, edge: Callable[[], None]) -> None:
    (node.folder / "node" / "applied.json").write_text('{"generation": 1}')
    until(node.announces)
    assert node.end("agent") == 0
    assert not node.announces()
