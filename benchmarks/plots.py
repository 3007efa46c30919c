"""A curve as PNG: logarithmic both ways, so that a slope is an exponent."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from benchmarks.result import Curve


def plot(curve: Curve, path: Path) -> None:
    """Draw `curve` into `path`; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(figsize=(6.4, 4), dpi=110, layout="constrained")
    for label, points in curve.lines.items():
        axes.plot(
            *zip(*points, strict=True), marker="o", label=f"{label} (exponent {curve.exponent(label):.2f})"
        )
    axes.set(xscale="log", yscale="log", xlabel=curve.x, ylabel=curve.y, title=curve.name)
    axes.grid(which="both", alpha=0.25)
    axes.legend()
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
