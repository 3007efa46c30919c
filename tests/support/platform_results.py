"""What was run on which host, one file a host in tests/platforms/results, and the table of docs/platforms.md."""

import json
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bare_root import Outcome

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests" / "platforms" / "results"
PAGE = ROOT / "docs" / "platforms.md"
BEGIN, END = "<!-- generated: make test-platforms -->", "<!-- end of what is generated -->"
NOT_RUN = "-"


@dataclass(frozen=True, slots=True)
class Cell:
    """One command on one host: whether it succeeded, and what its last words were."""

    command: str
    passed: bool
    seconds: int
    said: str


@dataclass(slots=True)
class HostResult:
    """A host's versions, and a cell for each thing that was run there."""

    host: str
    at: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)

    def add(self, what: str, command: str, outcome: Outcome) -> None:
        """Note what a command did, and write the host's file and the page anew."""
        self.at = time.strftime("%Y-%m-%d")
        self.cells[what] = Cell(
            command, outcome.status == 0, round(outcome.seconds), summarize_output(outcome.said)
        )
        self.save()

    def save(self) -> None:
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        name = re.sub(r"\W+", "-", self.host.lower())
        (RESULTS / f"{name}.json").write_text(text + "\n")
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{platform_table()}\n{END}{rest.partition(END)[2]}")


def summarize_output(said: str) -> str:
    """Tests that passed, failed and were skipped by the closing lines; else how long the lab took; else nothing."""
    closing = "\n".join(re.findall(r"^.* in [\d.]+ ?s\b.*$", said, re.MULTILINE))
    counts = {
        word: sum(map(int, re.findall(rf"\b(\d+) {word}s?\b", closing)))
        for word in ("passed", "failed", "skipped", "error")
    }
    found = [f"{count} {word}" for word, count in counts.items() if count]
    up = re.search(r"lab: (up in [\d.]+ s)", said)
    return ", ".join(found) or (up[1] if up else "")


def saved_results() -> list[HostResult]:
    found = []
    for file in sorted(RESULTS.glob("*.json"), key=lambda file: file.stem):
        content = json.loads(file.read_text())
        content["cells"] = {what: Cell(**cell) for what, cell in content["cells"].items()}
        found.append(HostResult(**content))
    return found


def platform_table() -> str:
    """One column a host, one row a version and a row for each thing that was run, with its command."""
    hosts = saved_results()
    versions = list(dict.fromkeys(name for host in hosts for name in host.versions))
    runs = list(dict.fromkeys(what for host in hosts for what in host.cells))
    lines = [_table_row("", [host.host for host in hosts]), "|---" * (len(hosts) + 1) + "|"]
    lines += [_table_row("run on", [host.at for host in hosts])]
    lines += [_table_row(name, [host.versions.get(name, NOT_RUN) for host in hosts]) for name in versions]
    for what in runs:
        lines.append(_table_row(what, [_format_cell(host.cells.get(what)) for host in hosts]))
    lines += ["", "| | command |", "|---|---|"]
    for what in runs:
        commands = dict.fromkeys(host.cells[what].command for host in hosts if what in host.cells)
        lines.append(_table_row(what, ["<br>".join(f"`{command}`" for command in commands)]))
    return "\n".join(lines) + "\n"


def _table_row(first: str, others: list[str]) -> str:
    return f"| {' | '.join([first, *others])} |"


def _format_cell(cell: Cell | None) -> str:
    if cell is None:
        return NOT_RUN
    return f"{'passed' if cell.passed else '**failed**'}, {cell.seconds} s" + (
        f": {cell.said}" if cell.said else ""
    )
