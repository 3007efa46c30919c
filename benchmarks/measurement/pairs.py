"""Measure two contenders in turn and keep the ratio of each pair: these machines drift, pairs do not."""

import statistics
from collections.abc import Callable

from benchmarks.measurement.result import Better, Ratio


def compare_pairs(
    name: str,
    unit: str,
    ours: Callable[[], float],
    peer_name: str,
    peer: Callable[[], float],
    *,
    pairs: int,
    better: Better,
    target: float | None = None,
) -> Ratio:
    """Run both once to warm up, then `pairs` times in turn; a contender returns its figure in `unit`."""
    ours(), peer()
    return from_pairs(
        name, unit, peer_name, [(ours(), peer()) for _ in range(pairs)], better=better, target=target
    )


def from_pairs(
    name: str,
    unit: str,
    peer_name: str,
    measured: list[tuple[float, float]],
    *,
    better: Better,
    target: float | None = None,
    ours_load: str = "",
    peer_load: str = "",
) -> Ratio:
    """Make the result of pairs (ours, peer) measured one after the other."""
    low, middle, high = statistics.quantiles([one / other for one, other in measured], n=4)
    return Ratio(
        name=name,
        peer_name=peer_name,
        unit=unit,
        better=better,
        ours=statistics.median(one for one, _ in measured),
        peer=statistics.median(other for _, other in measured),
        ratio=middle,
        low=low,
        high=high,
        pairs=len(measured),
        target=target,
        ours_load=ours_load,
        peer_load=peer_load,
    )
