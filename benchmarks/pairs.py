"""Measure two contenders in turn and keep the ratio of each pair: these machines drift, pairs do not."""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Result:
    """`ratio` is ours / peer, median over pairs, with its quartiles; ours and peer in `unit`, medians."""

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    low: float
    high: float
    pairs: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def text(self) -> str:
        return (
            f"{self.name}: {self.ours:.3g} {self.unit}, peer {self.peer:.3g} {self.unit},"
            f" ratio {self.ratio:.2f} (quartiles {self.low:.2f} to {self.high:.2f}, {self.pairs} pairs)"
        )


def compare(name: str, unit: str, ours: Callable[[], float], peer: Callable[[], float], pairs: int) -> Result:
    """Run both once to warm up, then `pairs` times in turn."""
    ours(), peer()
    measured = [(ours(), peer()) for _ in range(pairs)]
    ratios = [one / other for one, other in measured]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Result(
        name,
        statistics.median(one for one, _ in measured),
        statistics.median(other for _, other in measured),
        unit,
        middle,
        low,
        high,
        pairs,
    )
