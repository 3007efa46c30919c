"""MPTCPsec, Figure 9: an attacker on the first path flips one byte of a transfer under way.

The transfer over tcp must end with the right content, after a stall of at most two round trips of the slow path; the
same attack on TLS 1.3 over one MPTCP connection ends it.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

from lab.emulation.impairment import Impairment
from lab.errors import LabFailed
from lab.figures.effort import SampleCounts
from lab.figures.plot import STYLES, new_figure, save_figure
from lab.figures.stage import FigureNetwork
from lab.figures.table import Rows
from lab.scenarios.verdict import Verdict

FILE = "mptcpsec-figure-9"
DELAYS = (0.005, 0.020)  # one way, path by path
RATE = 50e6
FAST = 32 << 20  # bytes from which on links have no rate: it would take minutes
CONTENDERS = {
    "smkex-tcp": "SMKEX over tcp",
    "smkex-mptcp": "SMKEX over mptcp",
    "tls-mptcp": "TLS 1.3 over MPTCP",
}
SURVIVES = "SMKEX over tcp"
TARGET = 2 * 2 * max(DELAYS)  # seconds: two round trips of the slow path
SOON = 0.5  # seconds until the flipped byte is at the other end, behind whatever queues there are
TRIES = 4
POINTS = 300  # of a transfer, beside those around pauses
FLIPPED, COMPLETE = "byte flipped", "complete and right"


def measure(stage: FigureNetwork, effort: SampleCounts) -> list[dict[str, Any]]:
    """Attack one transfer of each contender and size: a row for each point of it, events among them."""
    rows = []
    for size in effort.injection_sizes:
        stage.serve_file(size)
        rate = RATE if size < FAST else None
        stage.set_links(*(Impairment(delay, rate) for delay in DELAYS), own_emulator=True)
        for contender, name in CONTENDERS.items():
            at, done = _attack_transfer(stage, contender, size)
            rows += [{"contender": name, "size": size, **point} for point in _trace_points(at, done, size)]
        stage.forget_file(size)
    return rows


def _attack_transfer(stage: FigureNetwork, contender: str, size: int) -> tuple[float, dict[str, Any]]:
    """Which path carries what is the client's choice: try again where the first had less than half."""
    link = stage.slow_link(stage.links[0], own_emulator=True)
    for _ in range(TRIES):
        link.tamper(size // 2)
        done = stage.ask("bulk", contender=contender, size=size, check=True, points=POINTS)
        at = link.tampered_at()
        if at is not None and done["trace"][0][0] < at:
            return at, done
    raise LabFailed(f"{contender}: the first path never carried half of the transfer")


def _trace_points(at: float, done: dict[str, Any], size: int) -> list[dict[str, Any]]:
    start = done["trace"][0][0]
    points = [{"seconds": when - start, "delivered": count, "event": ""} for when, count in done["trace"]]
    end = points[-1]
    end["event"] = COMPLETE if end["delivered"] == size and done["right"] else done["error"].partition(":")[0]
    if not done["right"]:
        end["event"] = "forged data delivered"
    before = sum(point["seconds"] < at - start for point in points)
    flip = {"seconds": at - start, "delivered": points[before - 1]["delivered"], "event": FLIPPED}
    return [*points[:before], flip, *points[before:]]


def longest_stall(points: Rows) -> float:
    """The longest time without a byte that begins soon after one was flipped: the rest has other causes."""
    flipped = next(float(point["seconds"]) for point in points if point["event"] == FLIPPED)
    times = [float(point["seconds"]) for point in points if point["event"] != FLIPPED]
    pauses = (
        after - before for before, after in pairwise(times) if before < flipped + SOON and after > flipped
    )
    return max(pauses, default=0.0)


def check_targets(rows: Rows, verdict: Verdict) -> None:
    for size, name, points in _group_transfers(rows):
        what = f"{name}, {size / 1e6:g} MB"
        if name == SURVIVES:
            verdict.equal(f"{what}: transfer", points[-1]["event"], COMPLETE)
            verdict.within(f"{what}: stall", longest_stall(points) * 1000, TARGET * 1000, "ms")
        else:
            delivered = int(points[-1]["delivered"])
            verdict.equal(f"{what}: ends", str(delivered < size).lower(), "true")
            verdict.note(f"{what}: with", f"{points[-1]['event']} after {delivered / 1e6:.3g} MB")


def draw_figure(rows: Rows, path: Path) -> None:
    sizes = sorted({int(row["size"]) for row in rows})
    round_trips = " and ".join(f"{2000 * delay:g} ms" for delay in DELAYS)
    figure, axes = new_figure(
        "One byte flipped on the first path, halfway (MPTCPsec, Figure 9)",
        "seconds",
        "MB delivered",
        rows=len(sizes),
    )
    for axis, size in zip([axes] if len(sizes) == 1 else axes, sizes, strict=True):
        for _, name, points in _group_transfers([row for row in rows if int(row["size"]) == size]):
            style = STYLES[name]
            seconds = [float(point["seconds"]) for point in points]
            megabytes = [int(point["delivered"]) / 1e6 for point in points]
            label = f"{name}: {points[-1]['event']}"
            if name == SURVIVES:
                label += f", stall {longest_stall(points) * 1000:.0f} ms"
            axis.plot(seconds, megabytes, color=style["color"], linestyle=style["linestyle"], label=label)
            flip = next(point for point in points if point["event"] == FLIPPED)
            axis.plot(
                float(flip["seconds"]), int(flip["delivered"]) / 1e6, "*", color="#c00000", markersize=11
            )
            if points[-1]["event"] != COMPLETE:
                axis.plot(seconds[-1], megabytes[-1], "X", color=style["color"], markersize=9)
        axis.plot([], [], "*", color="#c00000", markersize=11, linestyle="", label="the byte is flipped")
        axis.plot([], [], "X", color="#555555", markersize=9, linestyle="", label="the connection ends")
        rate = f", {RATE / 1e6:g} Mbit/s" if size < FAST else ""
        axis.set_title(f"{size / 1e6:g} MB, paths of {round_trips}{rate}", fontsize=9, loc="left")
        axis.legend(fontsize=8, loc="lower right")
    save_figure(figure, path)


def _group_transfers(rows: Rows) -> list[tuple[int, str, Rows]]:
    found: dict[tuple[int, str], Rows] = {}
    for row in rows:
        found.setdefault((int(row["size"]), row["contender"]), []).append(row)
    return [(size, name, points) for (size, name), points in found.items()]
