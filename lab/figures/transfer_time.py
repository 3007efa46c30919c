"""SMKEX, Figure 14: from nothing to the last byte of a small file, with a near path and one across an ocean, twice."""

from pathlib import Path
from statistics import median, quantiles
from typing import Any

from lab.emulation.impairment import Impairment
from lab.figures.effort import SampleCounts
from lab.figures.plot import STYLES, new_figure, save_figure
from lab.figures.stage import FigureNetwork
from lab.figures.table import Rows
from lab.scenarios.verdict import Verdict

FILE = "smkex-figure-14"
DELAYS = (0.0025, 0.140)  # one way, path by path
RATE = 50e6
SIZES = tuple(512 << n for n in range(7))
PAPER = 0.650  # seconds, for any of these sizes
TLS = "TLS 1.3"  # on the near path alone
CONTENDERS: dict[str, dict[str, Any]] = {
    "over mptcp": {"transport": "mptcp"},
    "first contact": {"transport": "tcp"},
    "with a Fast Open cookie": {"transport": "tcp"},
    "with the edge id cached": {"transport": "tcp", "cached": True},
}
TARGETS = {"first contact": 0.585, "with a Fast Open cookie": 0.300, "with the edge id cached": 0.300}


def measure(stage: FigureNetwork, effort: SampleCounts) -> list[dict[str, Any]]:
    """All contenders and sizes in turn: a row for each download."""
    for size in SIZES:
        stage.serve_file(size)
    stage.set_links(*(Impairment(delay, RATE) for delay in DELAYS))
    rows = []
    for sample in range(effort.downloads):
        for size in SIZES:
            for name, options in CONTENDERS.items():
                if name == "first contact":
                    stage.forget_fast_open()
                done = stage.ask("fetch", size=size, **options)
                rows.append({"contender": name, "size": size, "sample": sample, **done})
            done = stage.ask("fetch_tls", size=size)
            rows.append({"contender": TLS, "size": size, "sample": sample, **done})
            if sample == 0 and size == SIZES[0]:
                stage.ask("know_edge")
    return rows


def _column_of(rows: Rows, name: str, size: int, what: str) -> list[float]:
    return [float(row[what]) for row in rows if row["contender"] == name and int(row["size"]) == size]


def check_targets(rows: Rows, verdict: Verdict) -> None:
    for name in CONTENDERS:
        setups = [float(row["setup"]) for row in rows if row["contender"] == name]
        if name in TARGETS:
            verdict.within(f"{name}: key exchange, median", median(setups) * 1000, TARGETS[name] * 1000, "ms")
        else:
            verdict.note(f"{name}: key exchange, median", median(setups) * 1000, "ms")
        slowest = max(median(_column_of(rows, name, size, "total")) for size in SIZES)
        what = f"{name}: download, median of the slowest size"
        if name in TARGETS:
            verdict.within(what, slowest * 1000, PAPER * 1000, "ms")
        else:
            verdict.note(what, slowest * 1000, "ms")


def draw_figure(rows: Rows, path: Path) -> None:
    figure, axis = new_figure(
        "Download over a near and a far path (SMKEX, Figure 14)", "file size in bytes", "milliseconds"
    )
    axis.axhline(PAPER * 1000, color="#c00000", linewidth=1, linestyle=":")
    axis.annotate(
        "the paper: about 650 ms", (SIZES[-1], PAPER * 1000 + 12), color="#c00000", fontsize=8, ha="right"
    )
    for name in (*CONTENDERS, TLS):
        style = STYLES[name]
        middles, spreads = [], []
        for size in SIZES:
            values = [value * 1000 for value in _column_of(rows, name, size, "total")]
            low, _, high = quantiles(values, n=4)
            middles.append(median(values))
            spreads.append((max(0.0, median(values) - low), max(0.0, high - median(values))))
        label = f"{name} (near path alone)" if name == TLS else f"SMKEX, {name}"
        axis.errorbar(
            SIZES,
            middles,
            yerr=list(zip(*spreads, strict=True)),
            capsize=2,
            markersize=4,
            label=label,
            **style,
        )
    axis.set_xscale("log", base=2)
    axis.set_xticks(SIZES, [str(size) for size in SIZES])
    axis.minorticks_off()
    slowest = max(median(_column_of(rows, name, size, "total")) for name in CONTENDERS for size in SIZES)
    axis.set_ylim(0, 1000 * max(slowest, PAPER) * 1.35)
    near, far = (f"{2000 * delay:g} ms" for delay in DELAYS)
    samples = len(_column_of(rows, TLS, SIZES[0], "total"))
    measured = f"from nothing to the last byte, medians and quartiles of {samples}"
    axis.set_title(
        f"round trips of {near} and {far}, {RATE / 1e6:g} Mbit/s; {measured}", fontsize=9, loc="left"
    )
    axis.legend(fontsize=8, loc="upper right", ncols=2)
    save_figure(figure, path)
