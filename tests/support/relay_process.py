"""`sennit relay` and `sennit path` in network namespaces; interfaces of names that no other test has."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SENNIT = str(Path(sys.executable).with_name("sennit"))
_numbers = itertools.count()


def unique_interface(letters: str) -> str:
    """Return a name of at most 15 characters: control sockets of wireguard-go lie in one folder for all namespaces."""
    return f"{letters}{os.getpid()}n{next(_numbers)}"


def remove_namespace(name: str) -> None:
    """Delete a namespace and end what is left in it: a wireguard-go would keep it alive."""
    listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
    for pid in map(int, listed.split()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)


def snapshot_host(enter: Sequence[str]) -> dict[str, str]:
    """Return links, addresses, rules, routes and nftables of a namespace, as text that can be compared."""
    commands = {
        "links": "ip -o link",
        "addresses": "ip -o address",
        "rules": "ip rule; ip -6 rule",
        "routes": "ip route show table all; ip -6 route show table all",
        "nft": "nft list ruleset",
    }
    return {
        name: subprocess.run([*enter, "sh", "-c", command], capture_output=True, text=True, check=True).stdout
        for name, command in commands.items()
    }


class RelayProcess:
    """A running `sennit relay run` in a namespace, and the commands of its operator."""

    def __init__(self, enter: Sequence[str], folder: Path, *options: str) -> None:
        self.enter, self.folder = list(enter), folder
        self.interface = unique_interface("wr")
        self.options = options
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.folder.mkdir(exist_ok=True)
        log = self.folder / "log"
        command = [*self.enter, SENNIT, "relay", "run", "--state", str(self.folder)]
        with log.open("a") as output:
            self.process = subprocess.Popen(
                [*command, "--interface", self.interface, *self.options],
                stderr=output,
                cwd=ROOT,
                text=True,
            )
        poll_until(lambda: "ready" in log.read_text().splitlines(), lambda: log.read_text(), self.process)

    def add(self, name: str) -> str:
        """Return the new peer's configuration, once the interface has the peer."""
        configuration = self.command("add", name)
        key = next(row["public_key"] for row in self.peers() if row["name"] == name)
        poll_until(lambda: key in self.shown(), self.shown)
        return configuration

    def shown(self) -> str:
        """Return what `wg show` says of the interface."""
        done = subprocess.run(
            [*self.enter, "wg", "show", self.interface, "peers"], capture_output=True, text=True
        )
        return done.stdout

    def peers(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.command("list", "--json"))
        return rows

    def command(self, action: str, *words: str) -> str:
        done = subprocess.run(
            [*self.enter, SENNIT, "relay", action, "--state", str(self.folder), *words],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def drops(self) -> dict[str, int]:
        """Return the packets that rules with a comment have counted."""
        listed = json.loads(
            subprocess.run(
                [*self.enter, "nft", "-j", "list", "table", "inet", "sennit_relay"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        rules = [each["rule"] for each in listed["nftables"] if "rule" in each]
        return {
            rule["comment"]: next(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)
            for rule in rules
            if "comment" in rule
        }

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            assert self.process.wait(20) is not None
            self.process = None


class ClientPaths:
    """`sennit path` in a namespace, with folders of its own."""

    def __init__(self, enter: Sequence[str], folder: Path) -> None:
        self.enter, self.store = list(enter), folder / "store"
        self.environment = {**os.environ, "SENNIT_PATHS": str(folder / "described")}

    def run(self, *words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.enter, SENNIT, "path", *words, "--store", str(self.store)],
            input=given,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=self.environment,
        )

    def add(self, name: str, configuration: str, *options: str) -> None:
        done = self.run("add", name, *options, given=configuration)
        assert done.returncode == 0, done.stderr

    def remove(self, name: str) -> None:
        done = self.run("remove", name)
        assert done.returncode == 0, done.stderr

    def listed(self) -> list[dict[str, Any]]:
        done = self.run("list", "--json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows


def poll_until(
    condition: Callable[[], bool],
    what: Callable[[], str],
    process: "subprocess.Popen[str] | None" = None,
    timeout: float = 60,
) -> None:
    """Wait for a condition; a process that ended meanwhile is a failure."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert process is None or process.poll() is None, what()
        assert time.monotonic() < deadline, f"waited in vain: {what()}"
        time.sleep(0.05)
