"""The documented server and client in Python, as they stand on their page, over two links and both transports."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SERVER, CLIENT = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "server.md").read_text(), re.DOTALL)


def start(namespace: str, program: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["ip", "netns", "exec", namespace, sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
    )


def changed(program: str, before: str, after: str) -> str:
    assert before in program
    return program.replace(before, after)


@pytest.mark.needs("netns", "mptcp")
@pytest.mark.parametrize("transport", ["tcp", "mptcp"])
def test_the_documented_server_is_reached_over_two_paths(links: Any, transport: str, tmp_path: Path) -> None:
    options = ", options=smkex.ServerOptions(mptcp=True))" if transport == "mptcp" else ")"
    program = changed(SERVER, '"203.0.113.1", 443)', f'"203.0.113.1", 443{options}')
    program = changed(
        program, "    async with server:\n", '    print("ready", flush=True)\n    async with server:\n'
    )
    server = start(links.server, program, tmp_path)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        asking = changed(CLIENT, '"wifi0"]', f'"wifi0"], transport="{transport}"')
        client = start(links.phone, asking, tmp_path)
        out, err = client.communicate(timeout=60)
        assert out == "hello, world\n", err
        report = server.stdout.readline()
    finally:
        server.terminate()
        server.communicate()
    assert re.match(rf"{transport}, opportunistic, \w+, paths 10\.1\.0\.2:", report), report
    assert re.search(r" by edge 1 open, 10\.2\.0\.2:\d+ by edge 1", report), report
