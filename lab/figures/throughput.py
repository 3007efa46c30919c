"""MPTCPsec, Figure 8: throughput of long transfers, in clear, under TLS, and in SMKEX sessions."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from lab.emulation.impairment import Impairment
from lab.figures.effort import SampleCounts
from lab.figures.plot import STYLES, new_figure, save_figure
from lab.figures.stage import FigureNetwork
from lab.figures.table import Rows
from lab.scenarios.verdict import Verdict

FILE = "mptcpsec-figure-8"
CONTENDERS = {
    "raw-mptcp": "raw MPTCP",
    "tls-mptcp": "TLS 1.3 over MPTCP",
    "smkex-mptcp": "SMKEX over mptcp",
    "raw-tcp": "raw TCP",
    "tls-tcp": "TLS 1.3",
    "smkex-tcp": "SMKEX over tcp",
}
PAPER = {
    "raw MPTCP": 1.6,
    "TLS 1.3 over MPTCP": 0.7,
    "SMKEX over mptcp": 0.35,
}  # Gbit/s; the last is MPTCPsec
RATIOS = (
    ("SMKEX over mptcp", "TLS 1.3 over MPTCP", 1.0),
    ("SMKEX over tcp", "TLS 1.3", None),
)  # and what to reach
SLOW = Impairment(0.005, 200e6)  # the links' limit, not the processors'
SLOW_CONTENDERS = ("raw-mptcp", "smkex-mptcp")
SLOW_RATIO = ("SMKEX over mptcp", "raw MPTCP", 0.97)
PLAIN_LINKS, SLOW_LINKS = "as fast as the processors", "200 Mbit/s each"


def measure(stage: FigureNetwork, effort: SampleCounts) -> list[dict[str, Any]]:
    """All contenders in turn, then those over MPTCP on slow links: a row for each transfer."""
    rows = _in_turn(stage, effort.transfer_size, effort.transfers, tuple(CONTENDERS), PLAIN_LINKS)
    stage.set_links(SLOW, SLOW)
    size, transfers = effort.transfer_size // 8, (effort.transfers + 1) // 2
    rows += _in_turn(stage, size, transfers, SLOW_CONTENDERS, SLOW_LINKS)
    stage.make_plain()
    return rows


def _in_turn(
    stage: FigureNetwork, size: int, transfers: int, contenders: Sequence[str], links: str
) -> list[dict[str, Any]]:
    stage.serve_file(size)
    rows = []
    for sample in range(-1, transfers):
        for contender in contenders:
            trace = stage.ask("bulk", contender=contender, size=size)["trace"]
            seconds = trace[-1][0] - trace[0][0]
            if sample < 0:  # the first warms up
                continue
            row = {"links": links, "contender": CONTENDERS[contender], "sample": sample, "seconds": seconds}
            rows.append({**row, "gbit_per_second": size * 8 / seconds / 1e9})
    stage.forget_file(size)
    return rows


def _rates_by_contender(rows: Rows, links: str = PLAIN_LINKS) -> dict[str, list[float]]:
    """By contender, in the order of the samples."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["links"] == links:
            found.setdefault(row["contender"], []).append(float(row["gbit_per_second"]))
    return found


def _median_ratio(rates: dict[str, list[float]], ours: str, peer: str) -> float:
    return median(one / other for one, other in zip(rates[ours], rates[peer], strict=True))


def check_targets(rows: Rows, verdict: Verdict) -> None:
    rates, slow = _rates_by_contender(rows), _rates_by_contender(rows, SLOW_LINKS)
    for name, values in rates.items():
        verdict.note(f"{name}: median", median(values), "Gbit/s")
    for ours, peer, target in RATIOS:
        what = f"{ours} / {peer}, median of pairs"
        if target is None:
            verdict.note(what, _median_ratio(rates, ours, peer))
        else:
            verdict.at_least(what, _median_ratio(rates, ours, peer), target)
    for name, values in slow.items():
        verdict.note(f"{name}, links of {SLOW_LINKS}: median", median(values) * 1000, "Mbit/s")
    ours, peer, target = SLOW_RATIO
    verdict.at_least(f"{ours} / {peer}, links of {SLOW_LINKS}", _median_ratio(slow, ours, peer), target)


def draw_figure(rows: Rows, path: Path) -> None:
    figure, axis = new_figure("Throughput of long transfers (MPTCPsec, Figure 8)", "", "Gbit/s")
    rates = _rates_by_contender(rows)
    for at, (name, values) in enumerate(rates.items()):
        low, middle, high = quantiles(values, n=4)
        color = STYLES[name]["color"]
        axis.bar(at, middle, 0.6, color=color, yerr=[[middle - low], [high - middle]], capsize=4)
        axis.annotate(
            f"{middle:.2f}", (at, high), (0, 3), textcoords="offset points", ha="center", fontsize=9
        )
    axis.set_xticks(
        range(len(rates)), [name.replace(" over ", "\nover ").replace("raw ", "raw\n") for name in rates]
    )
    axis.grid(axis="x", visible=False)
    size = float(rows[0]["seconds"]) * float(rows[0]["gbit_per_second"]) / 8 * 1e9
    axis.set_title(
        f"{size / 1e6:.0f} MB from memory or cache, one transfer at a time; medians and quartiles of {len(values)}",
        fontsize=9,
        loc="left",
    )
    save_figure(figure, path)
