"""A soak as a picture: what each daemon held over time, and when something was broken."""

from pathlib import Path

from lab.figures.plot import new_figure, save_figure
from lab.soak.growth import MemoryWatch


def draw_picture(watch: MemoryWatch, path: Path) -> None:
    """A PNG at `path`. Raises `LabFailed` where matplotlib is not installed."""
    figure, rows = new_figure("Soak: what each daemon holds while things break", "minutes", "", rows=2)
    names = sorted({series.name for series in watch.series.values()})
    for axis, label in zip(rows, ("resident memory, MiB", "open descriptors"), strict=True):
        axis.set_ylabel(label)
        for at, _ in watch.failures:
            axis.axvline(at / 60, color="#d9730d", linewidth=0.6, alpha=0.35)
    seen: set[str] = set()
    for series in watch.series.values():
        style = {"color": f"C{names.index(series.name)}", "linewidth": 1.1}
        minutes = [at / 60 for at in series.times]
        [line] = rows[0].plot(minutes, [held / 2**20 for held in series.resident], **style)
        if series.name not in seen:  # one entry for all processes of a daemon
            line.set_label(series.name)
            seen.add(series.name)
        rows[1].plot(minutes, series.descriptors, **style)
    for axis in rows:
        axis.set_ylim(bottom=0)
    rows[0].legend(fontsize=8, ncols=2)
    save_figure(figure, path)
