"""The watcher withdraws for an agent that gives no sign of life, and leaves one alone that does."""

import asyncio
import contextlib
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from balancer.agent.announce import deadman
from balancer.agent.announce.announcement import Announcement
from balancer.agent.announce.bird import Bird, BirdError
from balancer.agent.announce.deadman import watch_agent
from balancer.agent.announce.silence import SilenceTimer
from node.state.signs import LifeSign


class Switch(Bird):
    """BIRD's switch, in memory."""

    def __init__(self) -> None:
        self.shown: list[Announcement] = []
        self.away = False
        self.refused = 0

    async def set_announcement(self, announcement: Announcement) -> None:
        if self.away:
            self.refused += 1
            raise BirdError("away")
        self.shown.append(announcement)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadman, "POLL_INTERVAL", 0.01)


class Watched(LifeSign):
    """Counts how often the sign was read."""

    looks = 0

    def last_sign(self) -> float:
        self.looks += 1
        return super().last_sign()


async def until(condition: object) -> None:
    async with asyncio.timeout(5):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)


async def test_a_dead_agent_is_withdrawn_for_and_the_watcher_ends(tmp_path: Path) -> None:
    alive, bird = LifeSign(tmp_path), Switch()
    alive.give_sign()
    started = time.monotonic()
    await asyncio.wait_for(watch_agent(alive, bird, agent=-1, seconds=0.2), 5)
    assert bird.shown == [Announcement.NONE]
    assert time.monotonic() - started >= 0.15


async def test_the_watcher_of_a_dead_agent_waits_for_bird_within_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadman, "WITHDRAW_LIMIT", 0.2)
    alive, bird = LifeSign(tmp_path), Switch()
    bird.away = True
    alive.give_sign()
    started = time.monotonic()
    await asyncio.wait_for(watch_agent(alive, bird, agent=-1, seconds=0.1), 5)
    assert not bird.shown
    assert time.monotonic() - started >= 0.25


async def test_an_agent_that_dies_while_its_watcher_starts_leaves_none(tmp_path: Path) -> None:
    bird = tmp_path / "bird.ctl"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(bird))  # no listener: BIRD is gone as well
    LifeSign(tmp_path).give_sign()
    words = ("--state", tmp_path, "--bird-socket", bird, "--protocol", "vip", "--seconds", "0.2")
    # as an agent that is no parent any more: the process id is of another process
    program = (
        "from balancer.agent.announce import deadman, watcher_process;"
        "deadman.WITHDRAW_LIMIT = 0.5; watcher_process.main()"
    )
    watcher = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *map(str, words), "--agent", "1"), stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(watcher.communicate(), 30)
    assert watcher.returncode == 0
    assert b"cannot be withdrawn" in said


async def test_another_agent_that_lives_ends_the_watcher(tmp_path: Path) -> None:
    alive, bird = Watched(tmp_path), Switch()
    alive.give_sign()
    task = asyncio.create_task(watch_agent(alive, bird, agent=-1, seconds=60))
    await until(lambda: alive.looks >= 6)
    assert not task.done(), "the last sign may be the dead one's"
    alive.give_sign()
    await asyncio.wait_for(task, 5)
    assert not bird.shown


async def test_an_agent_that_hangs_is_withdrawn_for_each_time(tmp_path: Path) -> None:
    alive, bird = LifeSign(tmp_path), Switch()
    bird.away = True
    task = asyncio.create_task(watch_agent(alive, bird, agent=os.getppid(), seconds=0.1))
    await until(lambda: bird.refused)
    bird.away = False  # what could not be said is said later
    await until(lambda: len(bird.shown) == 1)
    alive.give_sign()
    await until(lambda: len(bird.shown) == 2)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_a_sign_from_before_the_hosts_start_is_none(tmp_path: Path) -> None:
    alive = LifeSign(tmp_path)
    assert alive.last_sign() == float("-inf")
    alive.give_sign()
    assert abs(time.monotonic() - alive.last_sign()) < 5
    later = time.monotonic() + 1000
    os.utime(tmp_path / "agent" / "agent.alive", (later, later))
    assert alive.last_sign() == float("-inf")


def test_only_observed_time_counts_as_silence() -> None:
    timer = SilenceTimer(sign=10.0, now=10.0, step_limit=1.0)
    assert [timer.observe(10.0, now) for now in (10.5, 11.0, 3611.0)] == [0.5, 1.0, 2.0]
    assert timer.observe(3611.0, 3611.5) == 0.0
    assert timer.observe(3611.0, 3612.0) == 0.5
