"""What a benchmark says: a ratio to a peer, a bare value, or a curve; each may have a target (design section 10)."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Better = Literal["higher", "lower"]


def _met(value: float, better: Better, target: float | None) -> bool | None:
    if target is None:
        return None
    return value >= target if better == "higher" else value <= target


def _mark(met: bool | None) -> str:
    return {None: "", True: ", target met", False: ", TARGET MISSED"}[met]


@dataclass(frozen=True, slots=True)
class Ratio:
    """`ratio` is ours / peer, median over pairs, with its quartiles; `ours` and `peer` are medians in `unit`."""

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
    kind: str = field(default="ratio", init=False)

    @property
    def met(self) -> bool | None:
        return _met(self.ratio, self.better, self.target)

    def text(self) -> str:
        return (
            f"{self.name}: {self.ours:.3g} {self.unit}, {self.peer_name} {self.peer:.3g} {self.unit},"
            f" ratio {self.ratio:.2f} (quartiles {self.low:.2f} to {self.high:.2f}, {self.pairs} pairs)"
            f"{_mark(self.met)}"
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
        return _met(self.value, self.better, self.target)

    def text(self) -> str:
        return (
            f"{self.name}: {self.value:.4g} {self.unit} ({self.low:.4g} to {self.high:.4g}){_mark(self.met)}"
        )


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

    def exponent(self, label: str) -> float:
        """The slope in the logarithms, by least squares: 0 is flat, 1 is in proportion."""
        points = [(math.log(x), math.log(y)) for x, y in self.lines[label] if x > 0 and y > 0]
        mean_x = sum(x for x, _ in points) / len(points)
        mean_y = sum(y for _, y in points) / len(points)
        spread = sum((x - mean_x) ** 2 for x, _ in points)
        return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0

    def text(self) -> str:
        ends = (
            f"{label} {points[0][1]:.3g} to {points[-1][1]:.3g} (exponent {self.exponent(label):.2f})"
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
