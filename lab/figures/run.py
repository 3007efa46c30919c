"""`sennit lab figures`: measure, keep the rows as CSV, draw from these, check targets."""

import importlib
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from lab.figures.effort import SampleCounts
from lab.figures.stage import FigureNetwork
from lab.figures.table import Rows, read_table, write_table
from lab.namespace.bringup import print_progress
from lab.namespace.running import NamespaceLab
from lab.scenarios.verdict import Verdict
from smkex.build import describe_build

# by their numbers in the papers: 13 and 14 are of SMKEX, 8 and 9 of MPTCPsec
FIGURES = {"13": "setup_time", "14": "transfer_time", "8": "throughput", "9": "injection"}
MACHINE = "machine.json"
NUMBERS = "numbers.md"


class Figure(Protocol):
    """What a figure's module has."""

    FILE: str

    def measure(self, stage: FigureNetwork, effort: SampleCounts) -> Sequence[dict[str, object]]: ...
    def check_targets(self, rows: Rows, verdict: Verdict) -> None: ...
    def draw_figure(self, rows: Rows, path: Path) -> None: ...


def load_figure(number: str) -> Figure:
    return cast(Figure, importlib.import_module(f"lab.figures.{FIGURES[number]}"))


def measure(lab: NamespaceLab, numbers: Sequence[str], effort: SampleCounts, folder: Path) -> None:
    """Measure figures into `folder`. Raises `LabFailed`."""
    folder.mkdir(parents=True, exist_ok=True)
    began = _describe_machine()
    with FigureNetwork(lab).open() as stage:
        for number in numbers:
            started = time.monotonic()
            print_progress(f"figure {number} ...")
            one = load_figure(number)
            write_table(folder / f"{one.FILE}.csv", one.measure(stage, effort))
            stage.make_plain()
            print_progress(f"figure {number} took {time.monotonic() - started:.0f} s")
    (folder / MACHINE).write_text(
        json.dumps({**began, "load at the end": round(os.getloadavg()[0], 1)}, indent=1) + "\n"
    )


def draw_figures(numbers: Sequence[str], folder: Path) -> list[Verdict]:
    """Draw figures from what is in `folder`, and check them against their targets."""
    verdicts = []
    for number in numbers:
        one = load_figure(number)
        rows = read_table(folder / f"{one.FILE}.csv")
        one.draw_figure(rows, folder / f"{one.FILE}.png")
        verdicts.append(Verdict(f"figure {number}", "namespaces"))
        one.check_targets(rows, verdicts[-1])
    return verdicts


def write_numbers(folder: Path) -> None:
    """Write a page with the numbers of every figure that is in `folder`, and of the machine."""
    there = [number for number in FIGURES if (folder / f"{load_figure(number).FILE}.csv").exists()]
    machine = json.loads((folder / MACHINE).read_text())
    parts = [
        "# The figures' numbers",
        "Written by `sennit lab figures`; what they mean: [figures](../figures.md).",
    ]
    parts.append("Machine: " + ", ".join(f"{name} {value}" for name, value in machine.items()) + ".")
    for number in there:
        verdict = Verdict(f"figure {number}", "namespaces")
        one = load_figure(number)
        one.check_targets(read_table(folder / f"{one.FILE}.csv"), verdict)
        parts += [f"## Figure {number}", verdict.markdown()]
    (folder / NUMBERS).write_text("\n\n".join(parts) + "\n")


def _describe_machine() -> dict[str, object]:
    """What the figures depend on, of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    return {
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "model": model,
        "python": platform.python_version(),
        "sennit": describe_build(),
        "load at the start": round(os.getloadavg()[0], 1),
    }
