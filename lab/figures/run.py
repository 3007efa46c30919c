"""`sennit lab figures`: measure, keep the rows as CSV, draw from these, judge."""

import importlib
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from lab.figures.effort import Effort
from lab.figures.stage import Stage
from lab.figures.table import Rows, read, write
from lab.namespace.bringup import say
from lab.namespace.running import NamespaceLab
from lab.scenarios.verdict import Verdict
from smkex.build import description

# by their numbers in the papers: 13 and 14 are of SMKEX, 8 and 9 of MPTCPsec
FIGURES = {"13": "setup_time", "14": "transfer_time", "8": "throughput", "9": "injection"}
MACHINE = "machine.json"
NUMBERS = "numbers.md"


class Figure(Protocol):
    """What a figure's module has."""

    FILE: str

    def measure(self, stage: Stage, effort: Effort) -> Sequence[dict[str, object]]: ...
    def judge(self, rows: Rows, verdict: Verdict) -> None: ...
    def draw(self, rows: Rows, path: Path) -> None: ...


def figure(number: str) -> Figure:
    return cast(Figure, importlib.import_module(f"lab.figures.{FIGURES[number]}"))


def measure(lab: NamespaceLab, numbers: Sequence[str], effort: Effort, folder: Path) -> None:
    """Measure figures into `folder`. Raises `LabFailed`."""
    folder.mkdir(parents=True, exist_ok=True)
    began = _machine()
    with Stage(lab).open() as stage:
        for number in numbers:
            started = time.monotonic()
            say(f"figure {number} ...")
            one = figure(number)
            write(folder / f"{one.FILE}.csv", one.measure(stage, effort))
            stage.make_plain()
            say(f"figure {number} took {time.monotonic() - started:.0f} s")
    (folder / MACHINE).write_text(
        json.dumps({**began, "load at the end": round(os.getloadavg()[0], 1)}, indent=1) + "\n"
    )


def draw(numbers: Sequence[str], folder: Path) -> list[Verdict]:
    """Draw figures from what is in `folder`, and judge them."""
    verdicts = []
    for number in numbers:
        one = figure(number)
        rows = read(folder / f"{one.FILE}.csv")
        one.draw(rows, folder / f"{one.FILE}.png")
        verdicts.append(Verdict(f"figure {number}", "namespaces"))
        one.judge(rows, verdicts[-1])
    return verdicts


def write_numbers(folder: Path) -> None:
    """Write a page with the numbers of every figure that is in `folder`, and of the machine."""
    there = [number for number in FIGURES if (folder / f"{figure(number).FILE}.csv").exists()]
    machine = json.loads((folder / MACHINE).read_text())
    parts = [
        "# The figures' numbers",
        "Written by `sennit lab figures`; what they mean: [figures](../figures.md).",
    ]
    parts.append("Machine: " + ", ".join(f"{name} {value}" for name, value in machine.items()) + ".")
    for number in there:
        verdict = Verdict(f"figure {number}", "namespaces")
        one = figure(number)
        one.judge(read(folder / f"{one.FILE}.csv"), verdict)
        parts += [f"## Figure {number}", verdict.markdown()]
    (folder / NUMBERS).write_text("\n\n".join(parts) + "\n")


def _machine() -> dict[str, object]:
    """What the figures depend on, of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    return {
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "model": model,
        "python": platform.python_version(),
        "sennit": description(),
        "load at the start": round(os.getloadavg()[0], 1),
    }
