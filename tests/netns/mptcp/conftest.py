"""A phone with two links and two metric default routes, no policy rules, and a server with the VIP behind both."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PEER = Path(__file__).with_name("peer.py")
ROOT = Path(__file__).parents[3]
VIP = "203.0.113.1"
_numbers = itertools.count()


def run(*command: str, namespace: str | None = None) -> str:
    prefix = ["ip", "netns", "exec", namespace] if namespace else []
    done = subprocess.run([*prefix, *command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@dataclass
class Peer:
    """One end as a process of its own in its namespace, following a script."""

    process: "subprocess.Popen[str]"

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "ready\n", line + (self.process.stderr.read() if self.process.stderr else "")

    def result(self) -> dict[str, Any]:
        out, err = self.process.communicate(timeout=60)
        lines = out.splitlines()
        assert lines, err
        result: dict[str, Any] = json.loads(lines[-1])
        return result

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class TwoLinks:
    """`phone` (cell0 10.1.0.2, wifi0 10.2.0.2) and `server` (10.1.0.1, 10.2.0.1, and the VIP on lo)."""

    def __init__(self) -> None:
        suffix = f"{os.getpid()}-{next(_numbers)}"
        self.phone, self.server = f"phone-{suffix}", f"server-{suffix}"
        self.peers: list[Peer] = []

    def up(self) -> None:
        for name in (self.phone, self.server):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for net, link, metric in ((1, "cell0", "100"), (2, "wifi0", "200")):
            run(
                "ip",
                "-n",
                self.phone,
                "link",
                "add",
                link,
                "type",
                "veth",
                "peer",
                link,
                "netns",
                self.server,
            )
            for name, host in ((self.phone, 2), (self.server, 1)):
                run("ip", "-n", name, "address", "add", f"10.{net}.0.{host}/24", "dev", link)
                run("ip", "-n", name, "link", "set", link, "up")
            gateway = f"10.{net}.0.1"
            run(
                "ip",
                "-n",
                self.phone,
                "route",
                "add",
                "default",
                "via",
                gateway,
                "dev",
                link,
                "metric",
                metric,
            )
        run("ip", "-n", self.server, "address", "add", f"{VIP}/32", "dev", "lo")

    def down(self) -> None:
        for peer in self.peers:
            peer.stop()
        for name in (self.phone, self.server):
            with contextlib.suppress(AssertionError):
                run("ip", "netns", "del", name)

    def start(self, role: str, *, before: tuple[str, ...] = (), **script: Any) -> Peer:
        namespace = self.phone if role == "client" else self.server
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *before, sys.executable, str(PEER), role, json.dumps(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        peer = Peer(process)
        self.peers.append(peer)
        return peer

    def exchange(self, steps: list[list[Any]], **script: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run both ends over the same steps; return what the client and what the server reported.

        Once more where a kernel sent data again: it does so when an end of a busy machine acknowledges late, and
        the client starts afresh then, since no counter tells such bytes from others.
        """
        for last in (False, True):
            server = self.start("server", steps=steps, **script)
            server.wait_ready()
            client = self.start("client", steps=steps, **script)
            results = client.result(), server.result()
            if last or not any(result["error"] for result in results) or not self._has_sent_again():
                return results
        raise AssertionError("unreachable")

    def _has_sent_again(self) -> bool:
        counters = (
            run("nstat", "-asz", "MPTcpExtMPTCPRetrans", namespace=n) for n in (self.phone, self.server)
        )
        return any(int(shown.split()[-2]) for shown in counters)


@pytest.fixture
def links() -> Iterator[TwoLinks]:
    network = TwoLinks()
    try:
        network.up()
        yield network
    finally:
        network.down()
