"""The edge hears of a drain from the agent's file, whatever that holds."""

import asyncio
from pathlib import Path

import pytest

from edge import draining


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", '{"admin_state": "active"}', '{"admin_state": "disabled"}']
)
async def test_nothing_else_is_a_drain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setattr(draining, "LOOK_EVERY", 0.001)
    if text is not None:
        (tmp_path / "agent.json").write_text(text)
    asked: list[bool] = []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(draining.follow(tmp_path, lambda: asked.append(True)), 0.05)
    assert not asked


async def test_a_drain_asks_at_once_and_goes_on_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "LOOK_EVERY", 0.001)
    (tmp_path / "agent.json").write_text('{"admin_state": "draining"}')
    asked = asyncio.Semaphore(0)
    task = asyncio.create_task(draining.follow(tmp_path, asked.release))
    async with asyncio.timeout(5):
        for _ in range(3):
            await asked.acquire()
    task.cancel()
