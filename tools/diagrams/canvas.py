"""SVG primitives for the documentation's drawings, in a light and a dark palette."""

from dataclasses import dataclass, field
from html import escape

FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"

# the colours of the fleet page (balancer/control/page/static/fleet.css)
LIGHT = {
    "ground": "#ffffff",
    "card": "#f6f7f9",
    "line": "#b4bdc8",
    "text": "#17202a",
    "quiet": "#5c6773",
    "path0": "#1668b8",
    "path1": "#b8620e",
    "intent": "#2c8a4b",
    "bad": "#b3261e",
}
DARK = {
    "ground": "#0d1117",
    "card": "#1b222b",
    "line": "#4a5768",
    "text": "#e4e9ef",
    "quiet": "#93a0ae",
    "path0": "#57b8ff",
    "path1": "#ffb066",
    "intent": "#6fd694",
    "bad": "#ff8a80",
}
PALETTES = {"light": LIGHT, "dark": DARK}
INKS = ("line", "text", "quiet", "path0", "path1", "intent", "bad")


@dataclass
class Canvas:
    """One drawing in one palette; coordinates are pixels, y grows downwards."""

    width: int
    height: int
    colours: dict[str, str]
    title: str
    parts: list[str] = field(default_factory=list)

    def box(
        self, x: int, y: int, width: int, height: int, heading: str, *lines: str, ink: str = "line"
    ) -> None:
        """Draw a rounded box with a bold heading and lines of smaller text, all centred."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8"'
            f' fill="{self.colours["card"]}" stroke="{self.colours[ink]}" stroke-width="1.5"/>'
        )
        middle = x + width // 2
        top = y + height / 2 - (len(lines) * 16) / 2 + 5
        self.text(middle, round(top), heading, bold=True, halo=False)
        for number, line in enumerate(lines, 1):
            self.text(middle, round(top + 16 * number + 1), line, size=12, ink="quiet", halo=False)

    def text(
        self,
        x: int,
        y: int,
        words: str,
        *,
        size: int = 14,
        ink: str = "text",
        anchor: str = "middle",
        bold: bool = False,
        mono: bool = False,
        halo: bool = True,
    ) -> None:
        """Write one line; the halo keeps arrows from crossing the letters."""
        weight = ' font-weight="600"' if bold else ""
        family = f' font-family="{MONO}"' if mono else ""
        around = (
            f' stroke="{self.colours["ground"]}" stroke-width="5" stroke-linejoin="round" paint-order="stroke"'
            if halo
            else ""
        )
        self.parts.append(
            f'<text x="{x}" y="{y}" font-size="{size}" fill="{self.colours[ink]}"'
            f' text-anchor="{anchor}"{weight}{family}{around}>{escape(words, quote=False)}</text>'
        )

    def arrow(
        self,
        *points: tuple[int, int],
        ink: str = "line",
        width: float = 2,
        both: bool = False,
        dashed: bool = False,
        head: bool = True,
    ) -> None:
        """Draw a line through the points with a head at its end, or at both ends."""
        path = "M" + " L".join(f"{x},{y}" for x, y in points)
        ends = f' marker-end="url(#{ink})"' if head else ""
        ends += f' marker-start="url(#{ink})"' if both else ""
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        self.parts.append(
            f'<path d="{path}" fill="none" stroke="{self.colours[ink]}" stroke-width="{width}"'
            f' stroke-linejoin="round"{dash}{ends}/>'
        )

    def badge(self, x: int, y: int, number: int, ink: str) -> None:
        """Draw a filled circle with a step's number."""
        self.parts.append(
            f'<circle cx="{x}" cy="{y}" r="11" fill="{self.colours[ink]}"/>'
            f'<text x="{x}" y="{y + 5}" font-size="13" font-weight="700" fill="{self.colours["ground"]}"'
            f' text-anchor="middle">{number}</text>'
        )

    def svg(self) -> str:
        """Return the finished document."""
        markers = "".join(
            f'<marker id="{ink}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="11" markerHeight="11"'
            f' markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
            f'<path d="M0,0 L10,5 L0,10 z" fill="{self.colours[ink]}"/></marker>'
            for ink in INKS
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}"'
            f' width="{self.width}" height="{self.height}" role="img" font-family="{FONT}">'
        )
        ground = (
            f'<rect width="{self.width}" height="{self.height}" rx="12" fill="{self.colours["ground"]}"/>'
        )
        return "\n".join(
            [
                head,
                f"<title>{escape(self.title)}</title>",
                f"<defs>{markers}</defs>",
                ground,
                *self.parts,
                "</svg>",
                "",
            ]
        )
