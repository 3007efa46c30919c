"""The load generator in C (`benchmarks/edge/load/*.c`): built when needed, and run against a server under test.

It speaks TLS 1.3 and SMKEX (transport tcp, group X25519), and verifies every record. Needs a C compiler and OpenSSL's
headers (Debian: gcc, libssl-dev).
"""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.edge.peers import Peer
from benchmarks.measurement.processors import LOAD_PROCESSOR

SOURCES = Path(__file__).with_name("load")
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror")


@dataclass(frozen=True, slots=True)
class Load:
    """What one run did: `count` responses, handshakes or bytes in `seconds`, and the server's processor seconds.

    `median` and `p99` are seconds of one response or handshake, `client_cpu` the client's processor seconds, `details`
    what the program printed.
    """

    count: float
    seconds: float
    cpu: float
    median: float
    p99: float
    client_cpu: float
    details: dict[str, Any]

    @property
    def per_cpu_second(self) -> float:
        return self.count / self.cpu

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def utilisation(self) -> float:
        """The server's processor seconds a second: 1 is one processor, all the time."""
        return self.cpu / self.seconds


def build_load_generator(folder: Path) -> Path:
    """Compile the program into `folder`. Raises `CalledProcessError` with the compiler's complaint on stderr."""
    program = folder / "load"
    sources = sorted(map(str, SOURCES.glob("*.c")))
    subprocess.run(["cc", *FLAGS, "-o", str(program), *sources, "-lssl", "-lcrypto"], check=True)
    return program


class LoadFailed(RuntimeError):
    """The load generator met an error: a wrong tag, an invalid response, a closed connection."""


def run_load(
    program: Path,
    peer: Peer,
    *options: str,
    count: str = "responses",
    seconds: float = 1.5,
    on_start: Callable[[], None] = lambda: None,
) -> Load:
    """Load `peer` and read its processor time before and after. `count` names what is counted in the program's result.

    Raises `LoadFailed`.
    """
    command = [str(program), peer.protocol, str(peer.port), "--seconds", str(seconds), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        os.sched_setaffinity(process.pid, LOAD_PROCESSOR)
        _expect_line(process, "ready")
        on_start()
        began, cpu = time.perf_counter(), peer.cpu()
        print(file=process.stdin, flush=True)
        _expect_line(process, "done")
        took, cpu = time.perf_counter() - began, peer.cpu() - cpu
        details = json.loads(process.stdout.readline())
    if details["errors"]:
        raise LoadFailed(f"{peer.name}: {details['errors']} errors, the first: {details['error']}")
    return Load(
        details[count],
        took,
        max(cpu, 1e-6),
        details["median_us"] / 1e6,
        details["p99_us"] / 1e6,
        details["client_cpu"],
        details,
    )


def _expect_line(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    if line.strip() != word:
        raise LoadFailed(f"the load generator ended: {line}")
