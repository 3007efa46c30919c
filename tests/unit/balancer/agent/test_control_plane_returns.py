"""A fleet whose control plane was away: it comes back without a storm, and in time, for nothing to expire.

The agents' own loops run for hundreds of agents on a clock that jumps from one event to the next.
"""

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from signed_table import write_signed_table

from balancer.agent.state import NodeState
from balancer.agent.sync.freshness import FreshnessMonitor
from balancer.agent.sync.lease import HeartbeatTrigger, keep_lease
from balancer.agent.sync.table_follower import follow_table
from balancer.api.client import TableAnswer, Unreachable
from balancer.api.schemas import Health, LeaseGrant, LeaseRequest
from balancer.control.health.leases import Leases
from balancer.model.table import ForwardingTable
from node.state.desired_state import AdminState

AGENTS = 200
LEASE = 15.0
BEFORE, AFTER = 60.0, 60.0
BEATS = AGENTS / (LEASE / 3)  # heartbeats a second, when nothing is wrong


class JumpingLoop(asyncio.SelectorEventLoop):
    """Where nothing is left to do, it is the time of what is next."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class Control:
    """What agents see of a control plane that comes and goes; it notes when it was asked."""

    def __init__(self, loop: JumpingLoop) -> None:
        self.loop = loop
        self.asked: list[float] = []
        self.whole = 0
        self.leases = Leases(SimpleNamespace(monotonic=loop.time, now=None), LEASE)  # type: ignore[arg-type]
        self.gone = asyncio.Event()
        self.returned = 0.0

    def go(self) -> None:
        self.gone.set()

    def come_back(self) -> None:
        self.returned = self.loop.time()
        self.gone = asyncio.Event()
        self.leases = Leases(SimpleNamespace(monotonic=self.loop.time, now=None), LEASE)  # type: ignore[arg-type]
        self.leases.grant_grace(range(1, AGENTS + 1))

    def _ask(self) -> None:
        self.asked.append(self.loop.time())
        if self.gone.is_set():
            raise Unreachable("away")

    async def renew_lease(self, edge_id: int, body: LeaseRequest) -> LeaseGrant:
        self._ask()
        self.leases.renew(edge_id, body)
        return LeaseGrant(lease_seconds=LEASE, admin_state=AdminState.ACTIVE, generation=1)

    async def table(self, kept: Mapping[str, Any] | None, wait: float) -> TableAnswer:
        self._ask()
        self.whole += kept is None
        try:
            async with asyncio.timeout(wait):
                await self.gone.wait()
        except TimeoutError:
            return TableAnswer(None, "")  # nothing is new
        raise Unreachable("the connection was lost")


async def live(control: Control, away: float, folder: Path) -> None:
    """Let the fleet run, lose its control plane for so long, and have it back."""
    loop, agents = control.loop, []
    for number in range(1, AGENTS + 1):
        state = NodeState(folder / str(number))
        write_signed_table(state.folder, ForwardingTable(generation=1))
        heartbeat = LeaseRequest(health=Health.OK)
        agents += [
            keep_lease(control, number, lambda beat=heartbeat: beat, lambda *_: None, HeartbeatTrigger()),  # type: ignore[arg-type,misc]
            follow_table(control, state, number, HeartbeatTrigger(), FreshnessMonitor(state)),  # type: ignore[arg-type]
        ]
    tasks = []
    for agent in agents:
        tasks.append(asyncio.create_task(agent))
        await asyncio.sleep(random.uniform(0, 2 * LEASE / 3 / AGENTS))
    await asyncio.sleep(BEFORE)
    control.go()
    await asyncio.sleep(away)
    control.come_back()
    until = loop.time() + AFTER
    expired: list[int] = []
    while loop.time() < until:
        await asyncio.sleep(0.1)
        expired += control.leases.drop_expired()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert expired == [], "an agent came back too late"
    assert control.leases.count() == AGENTS


def busiest_second(asked: list[float], since: float) -> int:
    """The most requests in any second."""
    times = [at for at in asked if at >= since]
    most = first = 0
    for last, at in enumerate(times):
        while times[first] < at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("away", [1.0, 5.0, 60.0], ids=lambda away: f"{away:g} s")
def test_a_fleet_comes_back_without_a_storm_and_in_time(away: float, tmp_path: Path) -> None:
    random.seed(1)
    loop = JumpingLoop()
    control = Control(loop)
    try:
        loop.run_until_complete(live(control, away, tmp_path))
    finally:
        loop.close()
    # were all to ask at once, that would be 400; without the spread in `follow_table` it is 261 after a second
    assert busiest_second(control.asked, control.returned) < 4 * BEATS
    assert control.whole == 0, "a table's difference is enough"
