"""`python -m benchmarks.report.comparison OLD NEW`: two result folders side by side, changes beyond noise flagged."""

import json
import sys
from pathlib import Path

from benchmarks.measurement.result import Curve, Measured, Ratio, Value, from_dict

SLACK = 1.05  # quartiles of two quiet runs of the same code still miss each other by a few per cent


def main(arguments: list[str]) -> int:
    """Print a line a result; the status is 1 where something got worse beyond the noise."""
    old, new = (_load(Path(folder)) for folder in arguments)
    worse = False
    for name, now in new.items():
        before = old.get(name)
        if before is None or isinstance(now, Curve) or isinstance(before, Curve):
            continue
        verdict = compare_results(before, now)
        worse = worse or verdict == "WORSE"
        print(f"{verdict:7} {name}: {_figure_of(before):.3g} before, {_figure_of(now):.3g} now")
    for name in old.keys() - new.keys():
        print(f"gone    {name}")
    return 1 if worse else 0


def compare_results(before: Ratio | Value, now: Ratio | Value) -> str:
    """`better` or `WORSE` where the two spreads do not touch, even with some slack; else `same`."""
    rises = now.low > before.high * SLACK
    falls = now.high * SLACK < before.low
    if not rises and not falls:
        return "same"
    return "better" if rises == (now.better == "higher") else "WORSE"


def _figure_of(measured: Ratio | Value) -> float:
    return measured.ratio if isinstance(measured, Ratio) else measured.value


def _load(folder: Path) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        found |= {f"{content['benchmark']}: {each['name']}": from_dict(each) for each in content["results"]}
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
