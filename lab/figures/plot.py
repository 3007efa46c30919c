"""How all figures look: sizes, colours of the contenders, files. matplotlib is an extra, loaded only here."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import LabFailed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# what is ours in blues, TLS in oranges, unprotected ones in greys; distinct without colour by dash and marker
STYLES: dict[str, dict[str, Any]] = {
    "SMKEX over tcp": {"color": "#1f5fa8", "linestyle": "-", "marker": "o"},
    "SMKEX over tcp, edge id cached": {"color": "#3b8ede", "linestyle": "--", "marker": "s"},
    "SMKEX over mptcp": {"color": "#0b2f57", "linestyle": "-.", "marker": "D"},
    "TLS 1.3": {"color": "#d9730d", "linestyle": "-", "marker": "^"},
    "TLS 1.3 over MPTCP": {"color": "#a34e00", "linestyle": "--", "marker": "v"},
    "X25519 Diffie-Hellman": {"color": "#6b6b6b", "linestyle": "-", "marker": "x"},
    "raw TCP": {"color": "#8a8a8a", "linestyle": "-", "marker": "x"},
    "raw MPTCP": {"color": "#5a5a5a", "linestyle": "--", "marker": "+"},
    "first contact": {"color": "#0b2f57", "linestyle": "-", "marker": "o"},
    "with a Fast Open cookie": {"color": "#1f5fa8", "linestyle": "-", "marker": "s"},
    "with the edge id cached": {"color": "#3b8ede", "linestyle": "-", "marker": "D"},
    "over mptcp": {"color": "#5a5a5a", "linestyle": "-.", "marker": "v"},
}
SIZE = (7.2, 4.4)  # inches
DPI = 130


def require_matplotlib() -> None:
    """Raise `LabFailed` where nothing can be drawn: called before minutes go into measuring."""
    if importlib.util.find_spec("matplotlib") is None:
        raise LabFailed("matplotlib is not installed: `make install`, or the extra `figures`")


def new_figure(title: str, x: str, y: str, *, rows: int = 1) -> "tuple[Figure, Any]":
    """A figure with labelled axes. Raises `LabFailed` where matplotlib is not installed."""
    require_matplotlib()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {"font.size": 10, "axes.grid": True, "grid.color": "#dddddd", "axes.axisbelow": True}
    )
    figure, axes = pyplot.subplots(rows, 1, figsize=(SIZE[0], SIZE[1] * rows), squeeze=False)
    for axis in axes[:, 0]:
        axis.set_xlabel(x)
        axis.set_ylabel(y)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", fontweight="bold")
    return figure, axes[0, 0] if rows == 1 else list(axes[:, 0])


def save_figure(figure: "Figure", path: Path) -> None:
    """Write the figure; the same data give the same bytes."""
    figure.tight_layout()
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    from matplotlib import pyplot

    pyplot.close(figure)
