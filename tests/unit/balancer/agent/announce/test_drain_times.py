"""A drain goes on to its next phase when the edge's sessions have left the service port, or have had their time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from balancer.agent.announce.announcement import Announcement
from balancer.agent.announce.announcer import Announcer
from balancer.agent.announce.bird import Bird
from balancer.agent.announce.drain_times import DrainTimes
from balancer.agent.announce.intent import Intent
from balancer.agent.health import edge_health
from balancer.agent.health.edge_health import EdgeMonitor
from balancer.agent.health.node_watch import NodeMonitor
from balancer.agent.peers.peer_watch import PeerMonitor
from balancer.agent.state import NodeState
from balancer.agent.sync.lease import HeartbeatTrigger
from balancer.api.schemas import Health
from node.state.boot_clock import BootMoment, current_boot_id
from node.state.catalogue import EDGE_SOCKET
from node.state.credential import Credential
from node.state.desired_state import AdminState, DrainPhase, write_desired_state

TIMES = DrainTimes(
    rehoming=1000, rehoming_limit=10_000, shutdown=500, deadline=50_000
)  # no test takes that long
NORMAL, LAST, NONE = Announcement.NORMAL, Announcement.LAST_CHOICE, Announcement.NONE


def test_sessions_that_go_in_time_are_waited_for() -> None:
    times = DrainTimes(rehoming=3, rehoming_limit=30, shutdown=2, deadline=60)
    assert times.rehomed_after(2.9, 0) is None, "the least time"
    assert times.rehomed_after(3, 0) == 3
    assert times.rehomed_after(3, 1) is None
    assert times.rehomed_after(17, 1) is None
    assert times.rehomed_after(18, 0) == 18
    assert [times.phase(second, 18) for second in (18, 19.9, 20, 60)] == [
        DrainPhase.SHUTDOWN,
        DrainPhase.SHUTDOWN,
        DrainPhase.WITHDRAWN,
        DrainPhase.OVER,
    ]


def test_sessions_that_never_go_are_waited_for_no_longer_than_the_limit() -> None:
    times = DrainTimes(rehoming=3, rehoming_limit=30)
    assert times.rehomed_after(29.9, 1) is None
    assert times.rehomed_after(30, 1) == 30
    assert times.rehomed_after(500, 1) == 30, "an agent that was away in between"
    assert DrainTimes(rehoming=3, rehoming_limit=0).rehomed_after(2.9, 1) is None, (
        "the least time is the least"
    )
    assert DrainTimes(rehoming=3, rehoming_limit=0).rehomed_after(3, 1) == 3


def test_an_edge_that_does_not_say_is_not_waited_for() -> None:
    assert DrainTimes(rehoming=3).rehomed_after(2.9, None) is None
    assert DrainTimes(rehoming=3).rehomed_after(3, None) == 3


class Switch(Bird):
    """BIRD's switch, in memory; each look of the agent says something."""

    def __init__(self) -> None:
        self.shown: list[Announcement] = [NORMAL]

    async def is_announcing(self) -> bool:
        return self.shown[-1] is not NONE

    async def set_announcement(self, announcement: Announcement) -> None:
        self.shown.append(announcement)

    async def shows(self, announcement: Announcement) -> None:
        """Wait for it, and that it stays."""
        async with asyncio.timeout(10):
            while self.shown[-1] is not announcement:
                await asyncio.sleep(0.002)
            seen = len(self.shown)
            while len(self.shown) < seen + 3:
                await asyncio.sleep(0.002)
        assert set(self.shown[seen:]) == {announcement}


class Edge:
    """The edge's answer at its socket; `silent`: it takes the question and says nothing."""

    def __init__(self) -> None:
        self.left: int | None = 0
        self.silent = False
        self._held: list[asyncio.StreamWriter] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if self.silent:
            self._held.append(writer)
            return
        said: dict[str, Any] = {"status": "ok", "reasons": [], "sessions": 5}
        if self.left is not None:
            said["sessions_at_service_port"] = self.left
        body = json.dumps(said).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
        writer.close()

    def release(self) -> None:
        for writer in self._held:
            writer.close()


class Draining:
    """The agent of a node that announces and receives a drain. Time passes in its state: `since` moves back."""

    def __init__(self, folder: Path) -> None:
        self.state = NodeState(folder)
        self.state.keep_credential(Credential("secret", 1))
        self.state.keep_desired_state(AdminState.DRAINING)
        self.edge, self.bird = Edge(), Switch()

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        """An agent that was just started."""
        peers = PeerMonitor(0)
        watch = NodeMonitor(
            self.state, self.state.folder / "edge" / "edge.sock", peers, forwarder=False, vip_check=False
        )
        announcer = Announcer(
            *(self.state, watch, peers, Intent(), self.bird),
            times=TIMES,
            needs_forwarder=False,
            changed=HeartbeatTrigger(),
        )
        task = asyncio.create_task(announcer.run(0.005))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def is_at(self, seconds: float) -> None:
        """So long ago the drain began."""
        began = BootMoment(current_boot_id(), time.monotonic() - seconds)
        write_desired_state(self.state.folder, replace(self.state.desired_state(), since=began))

    @property
    def drain_phase(self) -> Any:
        return json.loads((self.state.folder / "agent" / "agent.json").read_text())["drain"]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_health, "_TIMEOUT", 10.0)  # a busy machine is no silent edge


@pytest.fixture
async def draining(tmp_path: Path) -> AsyncIterator[Draining]:
    made = Draining(tmp_path)
    EDGE_SOCKET.create_folder(tmp_path)
    server = await asyncio.start_unix_server(made.edge.answer, tmp_path / "edge" / "edge.sock")
    yield made
    made.edge.release()
    server.close()


async def test_the_route_stays_until_the_sessions_have_gone(draining: Draining) -> None:
    draining.edge.left = 2
    async with draining.agent():
        await draining.bird.shows(NORMAL)
    draining.is_at(5000)
    async with draining.agent():
        await draining.bird.shows(NORMAL)
        assert draining.drain_phase == "re-homing"
        draining.edge.left = 0
        await draining.bird.shows(LAST)
        draining.edge.left = 1
        await draining.bird.shows(LAST)  # one that comes late changes nothing any more
    draining.is_at(5700)
    async with draining.agent():
        await draining.bird.shows(NONE)
        assert draining.drain_phase == "withdrawn"


async def test_the_route_goes_though_some_never_go(draining: Draining) -> None:
    draining.edge.left = 2
    draining.is_at(10_001)
    async with draining.agent():
        await draining.bird.shows(LAST)
    draining.is_at(10_501)
    async with draining.agent():
        await draining.bird.shows(NONE)


@pytest.mark.parametrize("left", [None, 0])
async def test_an_edge_that_does_not_say_or_has_none_gets_the_least_time(
    draining: Draining, left: int | None
) -> None:
    draining.edge.left = left
    async with draining.agent():
        await draining.bird.shows(NORMAL)
    draining.is_at(1001)
    async with draining.agent():
        await draining.bird.shows(LAST)


async def test_an_edge_that_hangs_is_not_waited_for(
    draining: Draining, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_health, "_TIMEOUT", 0.02)
    monkeypatch.setattr(edge_health, "HANGS_AFTER", 0.1)
    draining.edge.silent = True
    draining.is_at(1001)
    async with draining.agent():
        await draining.bird.shows(NONE)
        assert draining.drain_phase != "re-homing"


async def test_an_edge_that_is_late_once_is_believed_what_it_said_before(
    tmp_path: Path, draining: Draining, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, began = EdgeMonitor(tmp_path / "edge" / "edge.sock"), 100.0
    draining.edge.left = 2
    assert (await watch.check_edge(began)).at_service_port == 2
    monkeypatch.setattr(edge_health, "_TIMEOUT", 0.02)
    draining.edge.silent = True
    assert (await watch.check_edge(began)).at_service_port == 2
    hangs = await watch.check_edge(began + edge_health.HANGS_AFTER)
    assert (hangs.status, hangs.at_service_port) == (Health.DOWN, None)


async def test_an_agent_that_starts_again_goes_on_where_the_drain_was(draining: Draining) -> None:
    draining.edge.left = 2
    draining.is_at(9000)
    async with draining.agent():
        await draining.bird.shows(NORMAL)
    async with draining.agent():
        await draining.bird.shows(NORMAL)
        draining.edge.left = 0
        await draining.bird.shows(LAST)
    async with draining.agent():
        draining.edge.left = 1
        await draining.bird.shows(LAST)  # it does not wait again
    draining.is_at(9600)
    async with draining.agent():
        await draining.bird.shows(NONE)


async def test_an_agent_that_was_away_for_long_withdraws_at_once(draining: Draining) -> None:
    draining.edge.left = 2
    draining.is_at(20_000)
    async with draining.agent():
        await draining.bird.shows(NONE)
    assert LAST not in draining.bird.shown


@pytest.mark.parametrize("hours", [-48, -2, 2, 48])
async def test_a_drain_does_not_follow_the_wall_clock(
    draining: Draining, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    draining.edge.left = 2
    real = time.time
    async with draining.agent():
        await draining.bird.shows(NORMAL)
        monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
        await draining.bird.shows(NORMAL)
    async with draining.agent():
        await draining.bird.shows(NORMAL)
        assert draining.drain_phase == "re-homing"


async def test_a_drain_is_over_when_the_host_was_restarted(draining: Draining) -> None:
    """Its sessions ended with the host."""
    before = replace(draining.state.desired_state(), since=BootMoment("0" * 32, time.monotonic()))
    write_desired_state(draining.state.folder, before)
    async with draining.agent():
        await draining.bird.shows(NONE)
        assert draining.drain_phase == "over"
