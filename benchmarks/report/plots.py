"""A curve as PNG: logarithmic both ways, so that a slope is an exponent."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.measurement.result import Curve


def draw_curve(curve: Curve, path: Path) -> None:
    """Draw `curve` into `path`; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing, axes = pyplot.subplots(figsize=(6.4, 4), dpi=110, layout="constrained")
    for label, points in curve.lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{label} (slope {curve.slope(label)})")
    axes.set(xscale="log", yscale="log", xlabel=curve.x, ylabel=curve.y, title=curve.name)
    _at_least_a_decade(axes)
    axes.set_xticks(sorted({x for points in curve.lines.values() for x, _ in points}))
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 200 * low else (1,)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(which="both", alpha=0.25)
    axes.legend()
    drawing.savefig(path, metadata={"Software": None})
    pyplot.close(drawing)


def format_tick(value: float) -> str:
    """What fits below a tick: 50k, 1.05M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _at_least_a_decade(axes: Axes) -> None:
    """What is nearly flat has to look so."""
    low, high = axes.get_ylim()
    if high < 10 * low:
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 10**0.5, middle * 10**0.5)
