"""A program under `sennit run` beside the library's own client: bulk both ways, each from one server on loopback.

Figures count from the first byte to the last; the program reads and writes a plain socket. Root.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measurement.pairs import compare_pairs
from benchmarks.measurement.result import Measured

ADDRESS = "127.0.0.2"  # the entrance is at 127.0.0.1
ENDS = "benchmarks.session.bulk_ends"
SENNIT = Path(sys.executable).with_name("sennit")
SIZE = 256 << 20
PAIRS = 7
TIMEOUT = 120.0  # seconds
TARGET = 0.9


def measure() -> list[Measured]:
    with _bulk_server() as port:
        return [
            compare_pairs(
                f"captured program, bulk {direction}",
                "GB/s",
                lambda way=direction: _time_program(port, way),  # type: ignore[misc]
                "the library's client",
                lambda way=direction: _time_library(port, way),  # type: ignore[misc]
                pairs=PAIRS,
                better="higher",
                target=TARGET,
            )
            for direction in ("down", "up")
        ]


@contextmanager
def _bulk_server() -> Iterator[int]:
    command = [sys.executable, "-m", ENDS, "server", ADDRESS, str(SIZE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _time_library(port: int, direction: str) -> float:
    return _read_rate([sys.executable, "-m", ENDS, "library", ADDRESS, str(port), direction, str(SIZE)])


def _time_program(port: int, direction: str) -> float:
    program = [sys.executable, "-m", ENDS, "program", ADDRESS, str(port), direction, str(SIZE)]
    session = (
        "--service-port",
        str(port),
        "--id-port-base",
        str(port),
        "--path",
        "lo",
        "--allow-shared-path",
    )
    known = ("--known-hosts", "/dev/null", "--edge-cache", "none")
    return _read_rate([str(SENNIT), "run", "--host", ADDRESS, *session, *known, "--", *program])


def _read_rate(command: list[str]) -> float:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout)["rate"])
