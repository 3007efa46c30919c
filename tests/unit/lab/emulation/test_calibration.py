"""What sleeping processors add to a round trip is taken off again."""

import pytest

from lab.emulation.calibration import calibrate_delay
from lab.emulation.impairment import Impairment
from lab.emulation.rtt import RoundTrips


class Machine:
    """A link whose round trips are longer by a constant."""

    def __init__(self, excess: float) -> None:
        self.excess = excess
        self.set = Impairment()

    def apply(self, impairment: Impairment) -> None:
        self.set = impairment

    def measure(self) -> RoundTrips:
        median = 2 * self.set.delay + self.excess
        return RoundTrips(median, median, median)


def test_a_constant_excess_goes() -> None:
    machine = Machine(0.0004)
    done = calibrate_delay(machine.apply, machine.measure, Impairment(delay=0.0025, rate=50e6))
    assert done.error == pytest.approx(0.0, abs=1e-9)
    assert done.uncorrected.median == pytest.approx(0.0054)
    assert machine.set.delay == pytest.approx(0.0023)
    assert machine.set.rate == 50e6


def test_an_excess_longer_than_the_delay_is_reported() -> None:
    machine = Machine(0.001)
    done = calibrate_delay(machine.apply, machine.measure, Impairment(delay=0.0001))
    assert machine.set.delay == 0
    assert done.error == pytest.approx(0.0008)
    assert "+0.80 ms off 0.2 ms" in str(done)


def test_a_worse_second_try_is_not_kept() -> None:
    machine = Machine(0.0002)
    measured = iter([0.0102, 0.0150, 0.0150, 0.0150])

    def measure() -> RoundTrips:
        median = next(measured)
        return RoundTrips(median, median, median)

    done = calibrate_delay(machine.apply, measure, Impairment(delay=0.005))
    assert done.measured.median == 0.0102
    assert machine.set.delay == 0.005
