"""Draw the documentation's diagrams, light and dark: `python tools/draw_diagrams.py`. A test compares them."""

from collections.abc import Callable
from pathlib import Path

from diagrams import loops, overview, ways
from diagrams.canvas import PALETTES

FOLDER = Path(__file__).parents[1] / "docs" / "images"
DRAWINGS: dict[str, Callable[[dict[str, str]], str]] = {
    "overview": overview.draw,
    "loops": loops.draw,
    "packet": ways.PACKET.draw,
    "request": ways.REQUEST.draw,
    "edge-id": ways.EDGE_ID.draw,
}


def drawn() -> dict[str, str]:
    """Return every file's name with its content."""
    return {
        f"{name}-{palette}.svg": draw(colours)
        for name, draw in DRAWINGS.items()
        for palette, colours in PALETTES.items()
    }


if __name__ == "__main__":
    for name, content in drawn().items():
        (FOLDER / name).write_text(content)
