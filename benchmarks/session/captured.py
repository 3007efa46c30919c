"""A program under `sennit run` beside the library's own client: bulk both ways, each from one server on loopback.

Figures count from the first byte to the last; the program reads and writes a plain socket. Root.

The library has two processes, the program three. What this machine allows three is estimated from parts measured in
the same minute: processor seconds a GB of the library's two ends and of plain TCP on loopback, spread over the
processors, and no faster than one processor carries a session and one end of the TCP connection.

The same over two paths that are shaped to a rate says up to which rate a program gets what the library gets.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement.pairs import compare_pairs, from_pairs
from benchmarks.measurement.processors import processor_seconds
from benchmarks.measurement.result import Measured
from benchmarks.session.shaped_network import LINKS, SERVER, ShapedNetwork, shaped_network

ADDRESS = "127.0.0.2"  # the entrance is at 127.0.0.1
ENDS = "benchmarks.session.bulk_ends"
SENNIT = Path(sys.executable).with_name("sennit")
BLOCK = 256 << 10
SIZE = 512 << 20
PAIRS = 15
TIMEOUT = 120.0  # seconds
TARGET = 0.9
SHAPED_RATES = (1e9, 5e9)  # bits a second, of both paths together
SHAPED_SECONDS = 0.5  # that a transfer takes at its rate
SHAPED_PAIRS = 3


@dataclass(frozen=True, slots=True)
class Transfers:
    """What was measured one after the other: GB/s, and processor seconds a GB."""

    captured: float
    carrier: float  # sennit run
    library: float
    client: float
    estimate: float  # GB/s, of the library and a TCP connection


def measure() -> list[Measured]:
    with _bulk_server("server") as server, _bulk_server("plain") as plain:
        ends = _Ends(server, plain)
        results = [result for direction in ("down", "up") for result in _compare_transfers(ends, direction)]
    with shaped_network() as network:
        return results + [
            _compare_shaped(network, rate, way) for rate in SHAPED_RATES for way in ("down", "up")
        ]


def _compare_shaped(network: ShapedNetwork, rate: float, direction: str) -> Measured:
    """Compare transfers over two paths of half the rate each."""
    network.shape(rate)
    size = round(rate / 8 * SHAPED_SECONDS / BLOCK) * BLOCK
    client = network.enter("client")
    with _bulk_server("server", SERVER, size, network.enter("server")) as (_, port):
        transfer = (direction, str(size))
        program = [sys.executable, "-m", ENDS, "program", SERVER, "7", *transfer]
        paths = [word for link in LINKS for word in ("--path", link)]
        captured = [*client, *_captured_command(SERVER, port, paths, program)]
        library = [
            *client,
            sys.executable,
            "-m",
            ENDS,
            "library",
            SERVER,
            str(port),
            *transfer,
            ",".join(LINKS),
        ]
        return compare_pairs(
            f"captured program, bulk {direction}, paths of {rate / 1e9:g} Gbit/s together",
            "Gbit/s",
            lambda: _run(captured)["rate"] * 8,
            "the library's client",
            lambda: _run(library)["rate"] * 8,
            pairs=SHAPED_PAIRS,
            better="higher",
            target=TARGET,
        )


def _compare_transfers(ends: "_Ends", direction: str) -> list[Measured]:
    ends.transfer(direction)  # to warm up
    done = [ends.transfer(direction) for _ in range(PAIRS)]
    name, client = f"captured program, bulk {direction}", "the library's client"
    rates = [(each.captured, each.library) for each in done]
    estimates = [(each.captured, each.estimate) for each in done]
    costs = [(each.carrier, each.client) for each in done]
    return [
        from_pairs(name, "GB/s", client, rates, better="higher", target=TARGET),
        from_pairs(name, "GB/s", "the library and a TCP connection, added", estimates, better="higher"),
        from_pairs(f"{name}, processor time of sennit run", "s/GB", client, costs, better="lower"),
    ]


class _Ends:
    """The two servers, and clients of them."""

    def __init__(self, server: tuple[int, int], plain: tuple[int, int]) -> None:
        """Each is a process and its port."""
        self._server, self._plain = server, plain

    def transfer(self, direction: str) -> Transfers:
        size = (direction, str(SIZE))
        captured = self._run_program(*size)
        before = processor_seconds(self._server[0])
        library = _run([sys.executable, "-m", ENDS, "library", ADDRESS, str(self._server[1]), *size, "lo"])
        both = library["own"] + (processor_seconds(self._server[0]) - before) / SIZE * 1e9
        process, port = self._plain
        hop = _run([sys.executable, "-m", ENDS, "program", ADDRESS, str(port), *size, str(process)])
        spread = len(os.sched_getaffinity(0)) / (both + hop["own"] + hop["carrier"])
        estimate = min(spread, 1 / (library["own"] + hop["carrier"]))
        return Transfers(captured["rate"], captured["carrier"], library["rate"], library["own"], estimate)

    def _run_program(self, *size: str) -> dict[str, float]:
        port = str(self._server[1])
        program = [sys.executable, "-m", ENDS, "program", ADDRESS, "7", *size]
        paths = ["--path", "lo", "--allow-shared-path"]
        return _run(_captured_command(ADDRESS, int(port), paths, program))


def _captured_command(address: str, port: int, paths: list[str], program: list[str]) -> list[str]:
    """Return the command of a program whose connections go by sessions to a server of `_bulk_server`."""
    session = ("--service-port", str(port), "--id-port-base", str(port), *paths)
    known = ("--known-hosts", "/dev/null", "--edge-cache", "none")
    return [str(SENNIT), "run", "--host", address, *session, *known, "--", *program]


@contextmanager
def _bulk_server(
    kind: str, address: str = ADDRESS, size: int = SIZE, prefix: Sequence[str] = ()
) -> Iterator[tuple[int, int]]:
    """A server's process and port."""
    command = [*prefix, sys.executable, "-m", ENDS, kind, address, str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, int(process.stdout.readline())
        finally:
            process.terminate()


def _run(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
