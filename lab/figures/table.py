"""Rows of a figure as a CSV file, the form in which measurements are kept."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Rows = list[dict[str, str]]


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows, all with the keys of the first; floats are rounded to six digits."""
    rows = list(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in row.items()})


def read_table(path: Path) -> Rows:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
