"""`sennit tunnel` between two hosts with two links: both ends as commands, both transports, a program unmodified."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
VIP = "203.0.113.1"
TARGET = """
import hashlib, socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    received = b""
    while data := connection.recv(1 << 16):
        received += data
    connection.sendall(hashlib.sha256(received).hexdigest().encode() + received)
    connection.close()
"""
PROGRAM = """
import hashlib, os, socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
data = os.urandom(3_000_000)
connection.sendall(data)
connection.shutdown(socket.SHUT_WR)
answer = b""
while part := connection.recv(1 << 16):
    answer += part
print(answer == hashlib.sha256(data).hexdigest().encode() + data)
"""


@contextmanager
def running(namespace: str, folder: Path, *command: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        ["ip", "netns", "exec", namespace, sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "SENNIT_SESSIONS": str(folder / "s"),
        },
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()


def ready(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("{") and json.loads(line)["event"] == "Ready":
            return dict(json.loads(line))
    raise AssertionError("the command ended before it was ready")


@pytest.mark.needs("netns", "mptcp")
@pytest.mark.parametrize("transport", ["tcp", "mptcp"])
def test_a_program_reaches_a_service_of_another_host_over_two_paths(
    links: Any, transport: str, tmp_path: Path
) -> None:
    (tmp_path / "s").mkdir(mode=0o700)
    sennit = ("-c", "import sys; from sennit.main import main; sys.exit(main())")
    with running(links.server, tmp_path, "-c", TARGET) as target:
        assert target.stdout is not None
        port = int(target.stdout.readline())
        listen = (*sennit, "tunnel", "listen", "--address", VIP, "--target", f"127.0.0.1:{port}", "--json")
        if transport == "mptcp":
            listen = (*listen, "--mptcp")
        connect = (*sennit, "tunnel", "connect", VIP, "--listen", "127.0.0.1:0", "--transport", transport)
        connect = (*connect, "--path", "cell0", "--path", "wifi0", "--json")
        with (
            running(links.server, tmp_path, *listen) as far,
            running(links.phone, tmp_path, *connect) as near,
        ):
            ready(far)
            where = ready(near)["listen"].rpartition(":")[2]
            with running(links.phone, tmp_path, "-c", PROGRAM, where) as program:
                out, err = program.communicate(timeout=60)
                assert out == "True\n", err
            assert near.stderr is not None
            opened = json.loads(near.stderr.readline())
            assert opened["event"] == "SessionOpened"
            report = opened["report"]
            assert report["transport"] == transport
            assert [path["interface"] for path in report["paths"]] == ["cell0", "wifi0"]
            assert [path["observed"].partition(":")[0] for path in report["paths"]] == [
                "10.1.0.2",
                "10.2.0.2",
            ]
