"""`python -m benchmarks [NAME ...]`: run benchmarks, print one line a result, keep them with `--save`.

A benchmark is a module named in BENCHMARKS, with `measure() -> list[Measured]`.
"""

import argparse
import importlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measurement.machine import describe_machine, stolen_seconds
from benchmarks.measurement.result import Measured, as_dict

BENCHMARKS = {
    "key_exchange": "benchmarks.session.key_exchange",
    "handshake_cost": "benchmarks.session.handshake_cost",
    "records": "benchmarks.session.records",
    "captured": "benchmarks.session.captured",
    "relay": "benchmarks.relay.throughput",
    "forwarder": "benchmarks.forwarder.program_cost",
    "forwarding": "benchmarks.forwarder.bulk",
    "edge": "benchmarks.edge.requests",
    "access_log": "benchmarks.edge.access_log",
    "memory": "benchmarks.edge.memory",
    "control": "benchmarks.control.heartbeats",
    "purges": "benchmarks.control.purges",
    "activations": "benchmarks.control.activations",
    "scale": "benchmarks.control.scale",
    "fleet_page": "benchmarks.control.fleet_page",
    "growth": "benchmarks.edge.growth",
    "services": "benchmarks.services.many",
    "failover": "benchmarks.services.failover",
}
RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)} (all)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of lines")
    parser.add_argument(
        "--save", action="store_true", help="write benchmarks/results/NAME.json, one a benchmark"
    )
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    everything = [_run(name, options.json, options.save) for name in options.names or BENCHMARKS]
    if options.json:
        print(json.dumps(everything, indent=1))
    return 0


def _run(name: str, quiet: bool, save: bool) -> dict[str, Any]:
    machine, before = describe_machine(), stolen_seconds()
    print(f"{name}, sennit {machine['sennit']} ...", file=sys.stderr)
    results: list[Measured] = importlib.import_module(BENCHMARKS[name]).measure()
    content = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine | {"stolen_seconds": round(stolen_seconds() - before, 1)},
        "results": [as_dict(result) for result in results],
    }
    if save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    if not quiet:
        for result in results:
            print(result.text(), flush=True)
    return content


sys.exit(main(sys.argv[1:]))
