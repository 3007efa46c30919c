"""A drain at the edge: what the agent's file says, new sessions refused in every mode, the others asked to move."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from loopback import LoopbackEdge, until

from edge.server import draining
from node.state.catalogue import DESIRED_STATE
from smkex.client import drains
from smkex.core.errors import AbortCode, PeerAborted


class Sessions:
    def __init__(self) -> None:
        self.looks = 0  # polls of the agent's file
        self._draining = False
        self.asked = asyncio.Semaphore(0)
        self.closed = asyncio.Semaphore(0)

    @property
    def draining(self) -> bool:
        return self._draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self.looks += 1
        self._draining = value

    def ask_to_rehome(self) -> None:
        self.asked.release()

    def close_sessions(self) -> None:
        self.closed.release()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "POLL_INTERVAL", 0.001)


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", '{"admin_state": "active"}', '{"admin_state": "disabled"}']
)
async def test_nothing_else_is_a_drain(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        DESIRED_STATE.write_text(tmp_path, text)
    sessions = Sessions()
    task = asyncio.create_task(draining.follow_admin_state(tmp_path, sessions))
    await until(lambda: sessions.looks >= 3)
    task.cancel()
    assert (sessions.asked.locked(), sessions.closed.locked(), sessions.draining) == (True, True, False)


async def test_a_drain_asks_at_once_and_goes_on_asking_and_closes_at_its_deadline(tmp_path: Path) -> None:
    def say(**value: str) -> None:
        DESIRED_STATE.write_object(tmp_path, value)

    say(admin_state="draining", drain="re-homing")
    sessions = Sessions()
    task = asyncio.create_task(draining.follow_admin_state(tmp_path, sessions))
    async with asyncio.timeout(5):
        for _ in range(3):
            await sessions.asked.acquire()
        assert sessions.draining
        assert sessions.closed.locked()
        say(admin_state="draining", drain="over")
        await sessions.closed.acquire()
        say(admin_state="active")
        while sessions.draining:
            await asyncio.sleep(0.001)
    task.cancel()


@pytest.fixture
async def edge() -> AsyncIterator[LoopbackEdge]:
    async with LoopbackEdge() as running:
        yield running


async def test_a_draining_edge_refuses_new_sessions_and_keeps_the_others(
    edge: LoopbackEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "RETRY_DELAY", 1000.0)  # the client does not try again
    running = await edge.connect()
    edge.config = replace(edge.config, draining=True)
    with pytest.raises(PeerAborted, match="draining") as refused:
        await edge.connect()
    assert refused.value.peer_code == AbortCode.DRAINING
    assert edge.handshakes.failures == {"Draining": 1}
    running.writer.write(b"00000003")
    assert await asyncio.wait_for(running.reader.readexactly(3), 5) == b"\0\1\2"
    await running.rehome()  # a path of a running session may still come
    await running.close()


async def test_a_client_tries_again_until_the_route_leads_elsewhere(
    edge: LoopbackEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "RETRY_DELAY", 0.01)
    edge.config = replace(edge.config, draining=True)
    connecting = asyncio.create_task(edge.connect())
    async with asyncio.timeout(5):
        while edge.handshakes.failures["Draining"] < 3:
            await asyncio.sleep(0.005)
        edge.config = replace(edge.config, draining=False)
        connection = await connecting
    await connection.close()


async def test_other_refusals_are_final() -> None:
    tries = []

    async def attempt(seconds: float) -> None:
        tries.append(seconds)
        raise PeerAborted(AbortCode.OVERLOADED, authenticated=False)

    with pytest.raises(PeerAborted):
        await drains.retry_while_draining(attempt, 5)
    assert len(tries) == 1
