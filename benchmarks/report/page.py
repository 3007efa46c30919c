"""`python -m benchmarks.report.page`: docs/performance.md and its plots out of what benchmarks/results holds."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measurement.result import Curve, Ratio, Value, format_figure, from_dict
from benchmarks.report.plots import draw_curve

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- generated: make bench -->", "<!-- end of what is generated -->"


def main() -> int:
    """Write the page anew between its two marks; what people wrote around them stays."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{result_tables()}\n{END}{after}")
    for curve in saved_curves():
        draw_curve(curve, ROOT / "docs" / "performance" / f"{plot_file_name(curve.name)}.png")
    return 0


def saved_results() -> Iterator[dict[str, Any]]:
    for path in sorted(RESULTS.glob("*.json")):
        yield json.loads(path.read_text())


def saved_curves() -> Iterator[Curve]:
    for content in saved_results():
        for each in map(from_dict, content["results"]):
            if isinstance(each, Curve):
                yield each


def plot_file_name(name: str) -> str:
    """The file name of a curve's plot."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def result_tables() -> str:
    """Everything as Markdown, a section a benchmark."""
    return "\n".join(_format_section(content) for content in saved_results())


def _format_section(content: dict[str, Any]) -> str:
    machine, results = content["machine"], [from_dict(each) for each in content["results"]]
    build = f"sennit {machine['sennit']}, " if "sennit" in machine else ""
    lines = [
        f"## {content['benchmark'].replace('_', ' ')}",
        "",
        f"{content['at'][:10]}, {machine['processor']}, {machine['cores']} cores, kernel {machine['kernel']}, "
        f"Python {machine['python']}, {build}{machine['stolen_seconds']} s taken by the host.",
        "",
    ]
    if rows := [_format_row(each) for each in results if not isinstance(each, Curve)]:
        lines += [
            "| what | ours | peer | ratio (quartiles) | to reach | |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    for each in results:
        if isinstance(each, Curve):
            lines += [
                f"![{each.name}](performance/{plot_file_name(each.name)}.png)",
                "",
                f"{each.text()}.",
                "",
            ]
    return "\n".join(lines)


def _format_row(each: Ratio | Value) -> str:
    met = {None: "", True: "met", False: "**missed**"}[each.met]
    sign = "at least" if each.better == "higher" else "at most"
    target = "" if each.target is None else f"{sign} {each.target:g}"
    if isinstance(each, Value):
        return f"| {each.name} | {format_figure(each.value)} {each.unit} | | | {target} | {met} |"
    return (
        f"| {each.name} | {each.ours_text}"
        f" | {each.peer_name}: {each.peer_text} "
        f"| {each.ratio:.2f} ({each.low:.2f} to {each.high:.2f}) | {target} | {met} |"
    )


if __name__ == "__main__":
    sys.exit(main())
