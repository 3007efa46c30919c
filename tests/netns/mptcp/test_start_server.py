"""The documented server and client in Python, as they stand on their page, over two links and both transports."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LIMIT = 60  # seconds any wait may take
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


def start_documented(namespace: str, folder: Path, *, mptcp: bool) -> "subprocess.Popen[str]":
    """Start the page's server, and wait until it listens."""
    options = ", options=smkex.ServerOptions(mptcp=True))" if mptcp else ")"
    program = changed(SERVER, '"203.0.113.1", 443)', f'"203.0.113.1", 443{options}')
    program = changed(
        program, "    async with server:\n", '    print("ready", flush=True)\n    async with server:\n'
    )
    server = start(namespace, program, folder)
    assert read_line(server) == "ready\n"
    return server


def read_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def changed(program: str, before: str, after: str) -> str:
    assert before in program
    return program.replace(before, after)


# opens a session over mptcp and reports the state of path 1; again once it is no longer open, and uses the session
WATCHING = """
import asyncio
import smkex

async def main():
    options = smkex.ConnectOptions(paths=["cell0", "wifi0"], transport="mptcp")
    connection = await smkex.connect("203.0.113.1", options=options)
    print(connection.report().paths[1].state, flush=True)
    async with asyncio.timeout(100):
        while (state := connection.report().paths[1].state) == "open":
            await asyncio.sleep(0.2)
    print(state, flush=True)
    connection.writer.write(b"world\\n")
    print((await connection.reader.readline()).decode(), end="")
    await connection.close()

asyncio.run(main())
"""


@pytest.mark.needs("netns", "mptcp")
@pytest.mark.parametrize("transport", ["tcp", "mptcp"])
def test_the_documented_server_is_reached_over_two_paths(links: Any, transport: str, tmp_path: Path) -> None:
    server = start_documented(links.server, tmp_path, mptcp=transport == "mptcp")
    asking = changed(CLIENT, '"wifi0"]', f'"wifi0"], transport="{transport}"')
    deadline, both = time.monotonic() + LIMIT, None
    try:
        # the server reports when it answers: over tcp, the request may be quicker than the proof on the other path
        while both is None and time.monotonic() < deadline:
            client = start(links.phone, asking, tmp_path)
            out, err = client.communicate(timeout=60)
            assert out == "hello, world\n", err
            report = read_line(server)
            assert re.match(rf"{transport}, opportunistic, \w+, paths 10\.1\.0\.2:", report), report
            both = re.search(r" by edge 1 open, 10\.2\.0\.2:\d+ by edge 1", report)
    finally:
        server.terminate()
        server.communicate()
    assert both, report


@pytest.mark.needs("netns", "mptcp")
def test_a_path_that_is_lost_without_a_word_shows_in_the_report(links: Any, tmp_path: Path) -> None:
    server = start_documented(links.server, tmp_path, mptcp=True)
    try:
        client = start(links.phone, WATCHING, tmp_path)
        assert read_line(client) == "open\n", client.communicate(timeout=60)
        # as a NAT that has forgotten the connection
        lost = ["ip", "netns", "exec", links.server, "ip", "route", "add", "blackhole", "10.2.0.2/32"]
        subprocess.run(lost, check=True)
        assert read_line(client) in ("stalled\n", "closed\n"), client.communicate(timeout=60)
        out, err = client.communicate(timeout=60)
        assert out == "hello, world\n", err
    finally:
        server.terminate()
        server.communicate()
