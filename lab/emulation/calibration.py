"""An emulated round trip is longer than its delays: sleeping processors add their waking. Measure that, take it off."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.emulation.impairment import Impairment
from lab.emulation.rtt import RoundTrips

ROUNDS = 3
GOOD_ENOUGH = 50e-6  # seconds


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was asked for, what was set instead, and the round trips that came of it."""

    wanted: float
    uncorrected: RoundTrips
    measured: RoundTrips

    @property
    def error(self) -> float:
        """Seconds by which the median round trip misses what was asked for."""
        return self.measured.median - self.wanted

    def __str__(self) -> str:
        before = self.uncorrected.median - self.wanted
        return (
            f"round trip {self.measured}, {self.error * 1000:+.2f} ms off {self.wanted * 1000:g} ms"
            f" ({before * 1000:+.2f} ms uncorrected)"
        )


def calibrate_delay(
    apply: Callable[[Impairment], None], measure: Callable[[], RoundTrips], impairment: Impairment
) -> Calibration:
    """Apply the impairment, and shorten its delay until the round trip is right, or as near as it gets."""
    wanted = 2 * impairment.delay
    apply(impairment)
    first = best = measure()
    delay = best_delay = impairment.delay
    for _ in range(ROUNDS):
        if abs(best.median - wanted) <= GOOD_ENOUGH or not delay:
            break
        delay = max(0.0, best_delay - (best.median - wanted) / 2)
        apply(impairment.with_delay(delay))
        measured = measure()
        if abs(measured.median - wanted) < abs(best.median - wanted):
            best, best_delay = measured, delay
    apply(impairment.with_delay(best_delay))
    return Calibration(wanted, first, best)
