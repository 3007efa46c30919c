"""A program under `sennit run` beside the library's own client: bulk both ways, each from one server on loopback.

Figures count from the first byte to the last; the program reads and writes a plain socket. Root.

The library has two processes, the program three. What this machine allows three is estimated from parts measured in
the same minute: processor seconds a GB of the library's two ends and of plain TCP on loopback, spread over the
processors, and no faster than one processor carries a session and one end of the TCP connection.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement.pairs import from_pairs
from benchmarks.measurement.processors import processor_seconds
from benchmarks.measurement.result import Measured

ADDRESS = "127.0.0.2"  # the entrance is at 127.0.0.1
ENDS = "benchmarks.session.bulk_ends"
SENNIT = Path(sys.executable).with_name("sennit")
SIZE = 512 << 20
PAIRS = 15
TIMEOUT = 120.0  # seconds
TARGET = 0.9


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
        return [result for direction in ("down", "up") for result in _compare_transfers(ends, direction)]


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
        library = _run([sys.executable, "-m", ENDS, "library", ADDRESS, str(self._server[1]), *size])
        both = library["own"] + (processor_seconds(self._server[0]) - before) / SIZE * 1e9
        process, port = self._plain
        hop = _run([sys.executable, "-m", ENDS, "program", ADDRESS, str(port), *size, str(process)])
        spread = len(os.sched_getaffinity(0)) / (both + hop["own"] + hop["carrier"])
        estimate = min(spread, 1 / (library["own"] + hop["carrier"]))
        return Transfers(captured["rate"], captured["carrier"], library["rate"], library["own"], estimate)

    def _run_program(self, *size: str) -> dict[str, float]:
        port = str(self._server[1])
        program = [sys.executable, "-m", ENDS, "program", ADDRESS, "7", *size]
        session = ("--service-port", port, "--id-port-base", port, "--path", "lo", "--allow-shared-path")
        known = ("--known-hosts", "/dev/null", "--edge-cache", "none")
        return _run([str(SENNIT), "run", "--host", ADDRESS, *session, *known, "--", *program])


@contextmanager
def _bulk_server(kind: str) -> Iterator[tuple[int, int]]:
    """A server's process and port."""
    command = [sys.executable, "-m", ENDS, kind, ADDRESS, str(SIZE)]
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
