"""The budget of held bytes: windows shrink as it fills, and above it the slowest drain ends first."""

import asyncio
from typing import cast

import pytest

from smkex.server.limits import held_bytes
from smkex.server.limits.held_bytes import FREE_SHARE, SMALLEST_WINDOW, HeldBytesBudget
from smkex.transport.driver import HeldBytesAccount, SessionDriver

MB = 1 << 20


class Held:
    """A session as the budget sees it."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self.progress = 0
        self.window = 0
        self.held_bytes_account: HeldBytesAccount | None = None

    def limit_windows(self, limit: int) -> None:
        self.window = limit


class Budget:
    """A budget of 80 MB whose clock is `now`; `ended` are the sessions it ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(held_bytes.time, "monotonic", lambda: self.now)
        self.ended: list[Held] = []
        self.it = HeldBytesBudget(80 * MB, self._end)

    def _end(self, session: SessionDriver) -> None:
        self.ended.append(cast(Held, session))
        self.it.remove_session(session)

    def session(self, held: int = 0) -> Held:
        made = Held()
        self.it.add_session(cast(SessionDriver, made))
        self.hold(made, held)
        return made

    def hold(self, session: Held, held: int, progress: int = 0) -> None:
        session.held_bytes = held
        session.progress += progress
        if session.held_bytes_account is not None:
            session.window = session.held_bytes_account.report(held, session.progress, self.now)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Budget:
    return Budget(monkeypatch)


async def settle() -> None:
    """Let what was scheduled run."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize("held", [0, 10 * MB, 40 * MB, 79 * MB, 80 * MB])
async def test_a_window_is_a_share_of_what_is_free(budget: Budget, held: int) -> None:
    budget.session(held)
    other = budget.session()
    assert other.window == max(SMALLEST_WINDOW, (80 * MB - held) // FREE_SHARE)
    await settle()
    assert budget.ended == []


def fill(budget: Budget, sessions: list[Held]) -> None:
    """Let each session hold all that its window allows, record by record."""
    for _ in range(150):
        for one in sessions:
            budget.hold(one, one.held_bytes)
            if one.window > one.held_bytes:
                budget.hold(one, min(one.window, one.held_bytes + SMALLEST_WINDOW))


@pytest.mark.parametrize("count", [1, 8, 60, 300])
async def test_sessions_that_acknowledge_nothing_do_not_fill_it(budget: Budget, count: int) -> None:
    fill(budget, [budget.session() for _ in range(count)])
    assert budget.it.held <= 80 * MB
    await settle()
    assert budget.ended == []


async def test_with_so_many_that_a_record_each_exceeds_it_some_end(budget: Budget) -> None:
    fill(budget, [budget.session() for _ in range(1500)])
    await settle()
    assert len(budget.ended) > 1
    assert budget.it.held <= 80 * MB


async def test_above_it_the_one_that_makes_no_progress_ends_though_others_hold_more(budget: Budget) -> None:
    fast, stalled, slow = budget.session(50 * MB), budget.session(20 * MB), budget.session(5 * MB)
    for _ in range(5):
        budget.now += 1.0
        budget.hold(fast, 50 * MB, 20 * MB)
        budget.hold(slow, 5 * MB, 1 * MB)
    budget.hold(slow, 11 * MB)
    await settle()
    assert budget.ended == [stalled]
    assert budget.it.held == 61 * MB


async def test_a_session_that_was_fast_and_stopped_counts_as_stopped(budget: Budget) -> None:
    stopped, steady = budget.session(40 * MB), budget.session(30 * MB)
    for _ in range(5):
        budget.now += 1.0
        budget.hold(stopped, 40 * MB, 50 * MB)
        budget.hold(steady, 30 * MB, 1 * MB)
    for _ in range(5):
        budget.now += 1.0
        budget.hold(steady, 30 * MB, 1 * MB)
    budget.hold(steady, 41 * MB)
    await settle()
    assert budget.ended == [stopped]


async def test_among_those_without_progress_the_largest_ends_first_and_only_as_many_as_needed(
    budget: Budget,
) -> None:
    sessions = [budget.session(size * MB) for size in (1, 2, 30, 10, 25)]
    budget.hold(sessions[0], 14 * MB)
    await settle()
    assert budget.ended == [sessions[2]]
    assert budget.it.held == 51 * MB


async def test_what_ended_counts_no_more(budget: Budget) -> None:
    session = budget.session(30 * MB)
    budget.it.remove_session(cast(SessionDriver, session))
    budget.it.remove_session(cast(SessionDriver, session))
    budget.hold(session, 40 * MB)
    assert budget.it.held == 0
