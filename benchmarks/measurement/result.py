"""What a benchmark says: a ratio to a peer, a bare value, or a curve; each may have a target."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Better = Literal["higher", "lower"]


def _meets_target(value: float, better: Better, target: float | None) -> bool | None:
    if target is None:
        return None
    return value >= target if better == "higher" else value <= target


def _target_mark(met: bool | None) -> str:
    return {None: "", True: ", target met", False: ", TARGET MISSED"}[met]


def format_figure(value: float) -> str:
    """Three digits that mean something, never an exponent: 12,400 or 0.0137."""
    if abs(value) < 999.5:
        return f"{value:.3g}"
    return f"{round(value, 2 - math.floor(math.log10(abs(value)))):,.0f}"


def _with_load(value: float, unit: str, load: str) -> str:
    return f"{format_figure(value)} {unit}" + (f" ({load})" if load else "")


@dataclass(frozen=True, slots=True)
class Ratio:
    """`ratio` is ours / peer, median over pairs, with its quartiles; `ours` and `peer` are medians in `unit`.

    `ours_load` and `peer_load` say how busy a server was, and at which rate: "99 % busy, 17,400/s".
    """

    name: str
    peer_name: str
    unit: str
    better: Better
    ours: float
    peer: float
    ratio: float
    low: float
    high: float
    pairs: int
    target: float | None = None
    ours_load: str = ""
    peer_load: str = ""
    kind: str = field(default="ratio", init=False)

    @property
    def met(self) -> bool | None:
        return _meets_target(self.ratio, self.better, self.target)

    @property
    def ours_text(self) -> str:
        return _with_load(self.ours, self.unit, self.ours_load)

    @property
    def peer_text(self) -> str:
        return _with_load(self.peer, self.unit, self.peer_load)

    def text(self) -> str:
        return (
            f"{self.name}: {self.ours_text},"
            f" {self.peer_name} {self.peer_text},"
            f" ratio {self.ratio:.2f} (quartiles {self.low:.2f} to {self.high:.2f}, {self.pairs} pairs)"
            f"{_target_mark(self.met)}"
        )


@dataclass(frozen=True, slots=True)
class Value:
    """One figure without a peer, memory say. `low` and `high` are its quartiles, or the figure itself."""

    name: str
    unit: str
    better: Better
    value: float
    low: float
    high: float
    target: float | None = None
    kind: str = field(default="value", init=False)

    @property
    def met(self) -> bool | None:
        return _meets_target(self.value, self.better, self.target)

    def text(self) -> str:
        spread = (
            "" if self.low == self.high else f" ({format_figure(self.low)} to {format_figure(self.high)})"
        )
        return f"{self.name}: {format_figure(self.value)} {self.unit}{spread}{_target_mark(self.met)}"


@dataclass(frozen=True, slots=True)
class Curve:
    """How a cost grows with work: `lines` maps a label to (x, y) points."""

    name: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    kind: str = field(default="curve", init=False)

    @property
    def met(self) -> bool | None:
        return None

    def exponent(self, label: str, last: int = 0) -> float:
        """The slope in the logarithms, by least squares, of all points or the `last`: 0 is flat, 1 in proportion."""
        points = [(math.log(x), math.log(y)) for x, y in self.lines[label][-last:] if x > 0 and y > 0]
        mean_x = sum(x for x, _ in points) / len(points)
        mean_y = sum(y for _, y in points) / len(points)
        spread = sum((x - mean_x) ** 2 for x, _ in points)
        return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0

    def slope(self, label: str) -> str:
        """Of the whole, and of the last step, where what is fixed weighs least."""
        return f"{self.exponent(label):.2f}, at the end {self.exponent(label, last=2):.2f}"

    def text(self) -> str:
        ends = (
            f"{label} {format_figure(points[0][1])} to {format_figure(points[-1][1])} (slope {self.slope(label)})"
            for label, points in self.lines.items()
        )
        return f"{self.name}: {self.y} against {self.x}: {'; '.join(ends)}"


Measured = Ratio | Value | Curve


def as_dict(measured: Measured) -> dict[str, Any]:
    return asdict(measured)


def from_dict(content: dict[str, Any]) -> Measured:
    """Read back what `as_dict` wrote."""
    fields = {name: value for name, value in content.items() if name != "kind"}
    if content["kind"] == "ratio":
        return Ratio(**fields)
    if content["kind"] == "value":
        return Value(**fields)
    fields["lines"] = {label: [(x, y) for x, y in points] for label, points in fields["lines"].items()}
    return Curve(**fields)
