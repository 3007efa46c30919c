"""Waits of the lab end when nothing progresses, and one setting makes all of them longer."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from lab import wait
from lab.errors import LabFailed

LIMIT = 30.0


class SteppedClock:
    """A second passes at each sleep; a process wants the processor for `share` of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, share: float = 0.0) -> None:
        self.seconds, self.share = 0.0, share
        clock = SimpleNamespace(monotonic=lambda: self.seconds, sleep=self._pass)
        monkeypatch.setattr(wait, "time", clock)
        monkeypatch.setattr(wait, "wanted_seconds", lambda pid: self.seconds * self.share)

    def _pass(self, _: float) -> None:
        self.seconds += 1


def _never() -> bool:
    return False


def _processes() -> list[int]:
    return [1]


@pytest.mark.parametrize(("factor", "seconds"), [(None, LIMIT), ("1", LIMIT), ("4", 4 * LIMIT)])
def test_a_wait_in_which_nothing_progresses_ends_at_its_limit(
    monkeypatch: pytest.MonkeyPatch, factor: str | None, seconds: float
) -> None:
    monkeypatch.delenv(wait.FACTOR_VARIABLE, raising=False)
    if factor is not None:
        monkeypatch.setenv(wait.FACTOR_VARIABLE, factor)
    clock = SteppedClock(monkeypatch)
    with pytest.raises(LabFailed, match="the routes did not happen within"):
        wait.wait_for("the routes", _never, LIMIT, processes=_processes)
    assert clock.seconds == seconds + 1


def test_a_start_that_waits_for_a_processor_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedClock(monkeypatch, share=1.0)
    wait.wait_for("a slow start", lambda: clock.seconds > 5 * LIMIT, LIMIT, processes=_processes)
    clock.share = 0.5
    clock.seconds = 0
    wait.wait_for("a slow start", lambda: clock.seconds > 1.5 * LIMIT, LIMIT, processes=_processes)


def test_a_process_that_spins_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedClock(monkeypatch, share=1.0)
    with pytest.raises(LabFailed, match="0 s of them idle"):
        wait.wait_for("its end", _never, LIMIT, processes=_processes)
    assert clock.seconds == wait.AT_MOST * LIMIT + 1


def test_without_processes_to_watch_all_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedClock(monkeypatch, share=1.0)
    with pytest.raises(LabFailed):
        wait.wait_for("an answer", _never, LIMIT)
    assert clock.seconds == LIMIT + 1


@pytest.mark.parametrize("factor", ["", "soon", "0.5", "-1", "nan", "inf"])
def test_a_factor_that_shortens_or_is_no_number_is_refused(
    monkeypatch: pytest.MonkeyPatch, factor: str
) -> None:
    monkeypatch.setenv(wait.FACTOR_VARIABLE, factor)
    with pytest.raises(LabFailed, match="give a number of 1 or more"):
        wait.scale_limit(LIMIT)


def test_what_a_process_wants_is_read_from_the_kernel() -> None:
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        first = wait.wanted_seconds(spinning.pid)
        wait.wait_for("a tenth of a second", lambda: wait.wanted_seconds(spinning.pid) - first > 0.1, 60)
    finally:
        spinning.kill()
        spinning.wait()
    assert wait.wanted_seconds(spinning.pid) == 0.0
