"""Bulk through a relay: beside the same tunnel without the relay's rules, and beside no tunnel at all. Root."""

import subprocess
import sys

from benchmarks.measurement.pairs import compare_pairs
from benchmarks.measurement.result import Measured
from benchmarks.relay.network import CDN, RelayNetwork, relay_network

ENDS = "benchmarks.relay.bulk_ends"
PORT = "443"
SECONDS = "2.0"
PAIRS = 11
TIMEOUT = 60.0  # seconds
AS_PLAIN = 0.95  # of the tunnel alone
PEERS = (("plain", "plain WireGuard", AS_PLAIN), ("direct", "no tunnel", None))
WAYS = (("fetch", "down"), ("send", "up"))


def measure() -> list[Measured]:
    with relay_network() as network:
        command = [*network.enter("cdn"), sys.executable, "-m", ENDS, "serve", CDN, PORT]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                server.stdout.readline()
                return _compare_ways(network)
            finally:
                server.kill()


def _compare_ways(network: RelayNetwork) -> list[Measured]:
    return [
        compare_pairs(
            f"relay, bulk {direction}, beside {peer_name}",
            "Gbit/s",
            lambda way=way: _rate_through(network, "limited", way),  # type: ignore[misc]
            peer_name,
            lambda way=way, peer=peer: _rate_through(network, peer, way),  # type: ignore[misc]
            pairs=PAIRS,
            better="higher",
            target=target,
        )
        for peer, peer_name, target in PEERS
        for way, direction in WAYS
    ]


def _rate_through(network: RelayNetwork, path: str, way: str) -> float:
    command = [*network.enter("client"), sys.executable, "-m", ENDS, way, network.interfaces[path], CDN, PORT]
    done = subprocess.run([*command, SECONDS], capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise RuntimeError(f"{path}: {done.stderr[-2000:]}")
    return float(done.stdout)
