"""`python -m benchmarks.edge.profile [LOAD]`: what the edge spends its processor time on under a load.

By `perf record` (Debian: linux-perf): the kernel, OpenSSL and compiled functions by name, the interpreter as one; with
`--callers` who calls each. With `--python`, by a sampler in the edge itself: functions in Python by name, with what
they call in C and in compiled modules.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.edge.contenders import make_objects
from benchmarks.edge.load_generator import Load, build_load_generator, run_load
from benchmarks.edge.peers import Peer, make_certificate, running_caching_edge, running_nginx
from benchmarks.measurement.machine import describe_machine

LOADS: dict[str, tuple[str, ...]] = {
    "1k": ("--connections", "64"),
    "1k-alone": (),
    "10k": ("--connections", "64", "--target", "/10k"),
    "100k": ("--connections", "64", "--target", "/100k"),
    "handshakes": ("--connections", "8", "--handshakes"),
    "bulk": ("--target", "/large"),
}
COUNTED = {"handshakes": "handshakes", "bulk": "bytes"}
FREQUENCY = 1999  # samples a second
SAMPLER = Path(__file__).with_name("sampling")
EVENTS = ("cpu-clock",)  # every virtual machine has it


def main(arguments: list[str]) -> int:
    """Profile what the command line says and print the functions with the greatest shares."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge.profile")
    parser.add_argument("load", nargs="?", choices=LOADS, default="1k")
    parser.add_argument("--python", action="store_true", help="sample functions in Python, not by perf")
    parser.add_argument("--callers", action="store_true", help="show call chains (perf)")
    parser.add_argument("--nginx", action="store_true", help="profile nginx in place of the edge (perf)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load (%(default)s)")
    parser.add_argument("--top", type=int, default=40, help="functions to print (%(default)s)")
    options = parser.parse_args(arguments)
    print(f"sennit {describe_machine()['sennit']}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_certificate(folder)
        make_objects(folder)
        if options.python:
            _print_samples(*_sample_python(folder, options.load, options.seconds), options.top)
        else:
            serve = running_nginx if options.nginx else running_caching_edge
            with serve(folder) as peer:
                _print_perf(folder, peer, options)
    return 0


def _run(folder: Path, peer: Peer, load: str, seconds: float) -> Load:
    program = build_load_generator(folder)
    counted = COUNTED.get(load, "responses")
    run_load(program, peer, *LOADS[load], count=counted, seconds=0.5)  # what is cold
    done = run_load(program, peer, *LOADS[load], count=counted, seconds=seconds)
    each = done.cpu / done.count * 1e6
    print(
        f"{peer.name}, {load}: {done.count:,.0f} {counted}, {done.utilisation:.0%} busy, {each:.3g} us each"
    )
    return done


# --- perf


def _print_perf(folder: Path, peer: Peer, options: argparse.Namespace) -> None:
    data = folder / "perf.data"
    chains = ["--call-graph", "dwarf,16384"] if options.callers else []
    pids = ",".join(map(str, peer.processes))
    record = [
        "perf",
        "record",
        "-q",
        "-e",
        *EVENTS,
        "-F",
        str(FREQUENCY),
        *chains,
        "-o",
        str(data),
        "-p",
        pids,
    ]
    with _perf_running(record):
        _run(folder, peer, options.load, options.seconds)
    for keys in ("dso", "dso,symbol"):
        report = ["perf", "report", "--stdio", "--no-children", "-q", "--sort", keys, "-i", str(data)]
        lines = subprocess.run(report, capture_output=True, text=True, check=True).stdout.splitlines()
        print(*[line.rstrip(" -") for line in lines if line.strip()][: options.top], "", sep="\n")


@contextmanager
def _perf_running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command)
    try:
        time.sleep(0.5)  # until it is attached
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


# --- functions in Python


def _sample_python(folder: Path, load: str, seconds: float) -> tuple[dict[str, int], dict[str, int]]:
    """Return samples by function: of its own, and with what it calls."""
    samples = folder / "samples.json"
    os.environ["SAMPLES"] = str(samples)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SAMPLER), os.environ.get("PYTHONPATH", "")])
    with running_caching_edge(folder) as edge:
        os.kill(edge.processes[0], signal.SIGUSR2)
        _run(folder, edge, load, seconds)
        os.kill(edge.processes[0], signal.SIGUSR2)
        while not samples.exists():
            time.sleep(0.02)
    found = json.loads(samples.read_text())
    return found["own"], found["with_callees"]


def _print_samples(own: dict[str, int], with_callees: dict[str, int], top: int) -> None:
    total = sum(own.values())
    print("   own  with callees")
    for name, count in sorted(own.items(), key=lambda item: -item[1])[:top]:
        print(f"{count / total:6.1%}  {with_callees[name] / total:6.1%}  {name}")
    print("\n  with callees")
    for name, count in sorted(with_callees.items(), key=lambda item: -item[1])[:top]:
        print(f"{count / total:6.1%}  {name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
