"""A client and a server in namespaces with two links, each shaped both ways to half of a rate (tc-tbf(8)). Root."""

import contextlib
import os
import subprocess
from collections.abc import Iterator

SERVER = "203.0.113.1"
LINKS = ("path0", "path1")  # interfaces of the client
BURST = 0.002  # seconds at the full rate
QUEUE = 0.02  # seconds


class ShapedNetwork:
    """Namespaces that exist inside the `with` block of `shaped_network`."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def enter(self, node: str) -> list[str]:
        """Return the prefix of a command on the node: "client" or "server"."""
        return ["nsenter", f"--net=/run/netns/{self._name(node)}", "--"]

    def up(self) -> None:
        for node in ("client", "server"):
            _run("ip", "netns", "add", self._name(node))
            self._stack.callback(_run, "ip", "netns", "del", self._name(node))
            self._in(node, "ip", "link", "set", "lo", "up")
        self._in("server", "ip", "address", "add", f"{SERVER}/32", "dev", "lo")
        for number, link in enumerate(LINKS):
            peer = ("type", "veth", "peer", "name", link, "netns", self._name("server"))
            self._in("client", "ip", "link", "add", link, *peer)
            for host, node in enumerate(("client", "server"), 1):
                self._in(node, "ip", "address", "add", f"10.{number}.0.{host}/24", "dev", link)
                self._in(node, "ip", "link", "set", link, "up")
            way = ("default", "via", f"10.{number}.0.2", "dev", link, "metric", str(100 + number))
            self._in("client", "ip", "route", "add", *way)

    def shape(self, rate: float) -> None:
        """Give both links together `rate` bits a second in each direction."""
        each = rate / len(LINKS)
        shape = ("tbf", "rate", f"{each:.0f}bit", "burst", f"{each / 8 * BURST:.0f}")
        for node in ("client", "server"):
            for link in LINKS:
                device = ("qdisc", "replace", "dev", link, "root")
                self._in(node, "tc", *device, *shape, "limit", f"{each / 8 * QUEUE:.0f}")

    def down(self) -> None:
        self._stack.close()

    def _in(self, node: str, *command: str) -> None:
        _run(*self.enter(node), *command)

    def _name(self, node: str) -> str:
        return f"bs-{node}-{os.getpid()}"


@contextlib.contextmanager
def shaped_network() -> Iterator[ShapedNetwork]:
    network = ShapedNetwork()
    try:
        network.up()
        yield network
    finally:
        network.down()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
