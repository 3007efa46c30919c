"""Fuzz every target, or those named: `python tests/fuzz [--seconds N] [--minimise] [TARGET ...]`.

Each target starts from `corpus/TARGET`. What is new in coverage goes to `.fuzz/TARGET`, which is not committed;
`--minimise` takes over from there what the corpus lacks. A finding is kept in `.fuzz/TARGET-finding-...`: give it to
the target as its one argument to see it again, and write a test of it.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TARGETS = sorted(path.stem for path in (HERE / "targets").glob("*.py"))
CORPUS, FOUND = HERE / "corpus", HERE.parents[1] / ".fuzz"


def run(target: str | Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run one target (a name, or a file) with libFuzzer's options; a failure is a finding."""
    file = HERE / "targets" / f"{target}.py" if isinstance(target, str) else target
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    command = [sys.executable, str(file), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")


def explore(target: str, seconds: int, found: Path = FOUND) -> subprocess.CompletedProcess[str]:
    """Fuzz a target for a while from its corpus; what is new goes to `found`."""
    new = found / target
    new.mkdir(parents=True, exist_ok=True)
    prefix = f"-artifact_prefix={found / target}-finding-"
    return run(
        target, f"-max_total_time={seconds}", "-print_final_stats=1", prefix, str(new), str(CORPUS / target)
    )


def minimise(target: str) -> subprocess.CompletedProcess[str]:
    """Take over what `explore` found into the corpus: the fewest and smallest inputs that reach new code."""
    return run(target, "-merge=1", "-use_counters=0", str(CORPUS / target), str(FOUND / target))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=TARGETS, metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="of each target (60)")
    parser.add_argument("--minimise", action="store_true")
    chosen = parser.parse_args()
    failed = 0
    for target in chosen.targets:
        done = minimise(target) if chosen.minimise else explore(target, chosen.seconds)
        stats = [line for line in done.stderr.splitlines() if line.startswith(("stat::", "#"))]
        print(
            f"{target}: {'a finding' if done.returncode else 'nothing found'}",
            *stats[-7:],
            sep="\n  ",
            flush=True,
        )
        if done.returncode:
            print(done.stdout[-4000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
