"""SMKEX, Figure 13: how long it takes to set up a connection, as distributions, at a round trip of 0.2 ms."""

from pathlib import Path
from statistics import median
from typing import Any

from lab.emulation.impairment import Impairment
from lab.figures.effort import SampleCounts
from lab.figures.plot import STYLES, new_figure, save_figure
from lab.figures.stage import FigureNetwork
from lab.figures.table import Rows
from lab.scenarios.verdict import Verdict

FILE = "smkex-figure-13"
DELAY = 0.0001  # one way
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "X25519 Diffie-Hellman": ("setup_dh", {}),
    "TLS 1.3": ("setup_tls", {}),
    "SMKEX over tcp": ("setup_smkex", {"transport": "tcp"}),
    "SMKEX over tcp, edge id cached": ("setup_smkex", {"transport": "tcp", "cached": True}),
    "SMKEX over mptcp": ("setup_smkex", {"transport": "mptcp"}),
}
PLAIN, OURS = "X25519 Diffie-Hellman", "SMKEX over tcp"
ALLOWED = 0.0003  # seconds of computation beyond a plain exchange, and a round trip


def measure(stage: FigureNetwork, effort: SampleCounts) -> list[dict[str, Any]]:
    """All contenders in turn, again and again: a row for each connection."""
    calibrations = stage.set_links(Impairment(DELAY), Impairment(DELAY))
    round_trip = max(one.measured.median for one in calibrations)
    stage.ask("know_edge")
    rows = []
    for sample in range(-1, effort.setups):
        for name, (do, options) in CONTENDERS.items():
            seconds = stage.ask(do, **options)
            if sample >= 0:  # the first warms up
                rows.append(
                    {"contender": name, "sample": sample, "seconds": seconds, "round_trip": round_trip}
                )
    return rows


def _setup_times(rows: Rows) -> dict[str, list[float]]:
    return {
        name: sorted(float(row["seconds"]) for row in rows if row["contender"] == name) for name in CONTENDERS
    }


def check_targets(rows: Rows, verdict: Verdict) -> None:
    times = _setup_times(rows)
    round_trip = float(rows[0]["round_trip"])
    verdict.note("round trip of the paths", round_trip * 1000, "ms")
    for name, values in times.items():
        verdict.note(f"{name}: median", median(values) * 1000, "ms")
    more = median(times[OURS]) - median(times[PLAIN])
    verdict.within(f"{OURS}, more than {PLAIN}", more * 1000, (round_trip + ALLOWED) * 1000, "ms")


def draw_figure(rows: Rows, path: Path) -> None:
    figure, axis = new_figure(
        "Time to set up a connection (SMKEX, Figure 13)", "milliseconds", "fraction of connections"
    )
    times = _setup_times(rows)
    for name, values in times.items():
        style = STYLES[name]
        steps = [(n + 1) / len(values) for n in range(len(values))]
        label = f"{name}: median {median(values) * 1000:.2f} ms"
        axis.plot(
            [1000 * value for value in values],
            steps,
            color=style["color"],
            linestyle=style["linestyle"],
            label=label,
            drawstyle="steps-post",
        )
    longest = max(values[int(0.98 * (len(values) - 1))] for values in times.values())
    axis.set_xscale("log")
    axis.set_xlim(0.9 * 1000 * min(values[0] for values in times.values()), 1000 * longest * 1.1)
    axis.set_ylim(0, 1.02)
    ticks = [
        t
        for t in (0.3, 0.5, 1, 2, 3, 5, 10, 20, 30, 50, 100)
        if axis.get_xlim()[0] <= t <= axis.get_xlim()[1]
    ]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    round_trip = float(rows[0]["round_trip"]) * 1000
    axis.set_title(
        f"paths of {round_trip:.2f} ms round trip, {len(times[PLAIN])} connections each",
        fontsize=9,
        loc="left",
    )
    axis.legend(fontsize=8, loc="lower right")
    save_figure(figure, path)
