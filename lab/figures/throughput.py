"""MPTCPsec, Figure 8: throughput of long transfers, in clear, under TLS, and in SMKEX sessions."""

from pathlib import Path
from statistics import median, quantiles
from typing import Any

from lab.figures.effort import Effort
from lab.figures.plot import STYLES, new_figure, save
from lab.figures.stage import Stage
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


def measure(stage: Stage, effort: Effort) -> list[dict[str, Any]]:
    """All contenders in turn: a row for each transfer."""
    size = effort.transfer_size
    stage.serve_file(size)
    rows = []
    for sample in range(-1, effort.transfers):
        for contender, name in CONTENDERS.items():
            trace = stage.ask("bulk", contender=contender, size=size)["trace"]
            seconds = trace[-1][0] - trace[0][0]
            if sample >= 0:  # the first warms up
                rate = size * 8 / seconds / 1e9
                rows.append(
                    {"contender": name, "sample": sample, "seconds": seconds, "gbit_per_second": rate}
                )
    stage.forget_file(size)
    return rows


def _rates(rows: Rows) -> dict[str, list[float]]:
    """In the order of the samples."""
    return {
        name: [float(row["gbit_per_second"]) for row in rows if row["contender"] == name]
        for name in CONTENDERS.values()
    }


def judge(rows: Rows, verdict: Verdict) -> None:
    rates = _rates(rows)
    for name, values in rates.items():
        verdict.note(f"{name}: median", median(values), "Gbit/s")
    for ours, peer, target in RATIOS:
        ratio = median(one / other for one, other in zip(rates[ours], rates[peer], strict=True))
        what = f"{ours} / {peer}, median of pairs"
        if target is None:
            verdict.note(what, ratio)
        else:
            verdict.at_least(what, ratio, target)


def draw(rows: Rows, path: Path) -> None:
    figure, axis = new_figure("Throughput of long transfers (MPTCPsec, Figure 8)", "", "Gbit/s")
    rates = _rates(rows)
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
    save(figure, path)
