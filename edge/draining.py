"""What the operator wants of this edge, as the agent writes it to agent.json: a drain sends clients to the locator."""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("edge.draining")

LOOK_EVERY = 0.5  # seconds: well within the time that the agent goes on announcing a draining edge


async def follow(state: Path, ask_to_rehome: Callable[[], None]) -> None:
    """Call `ask_to_rehome` when a drain begins and while it lasts, for sessions that came late; until cancelled."""
    was = "active"
    while True:
        wanted = admin_state(state)
        if wanted == "draining":
            ask_to_rehome()
        if wanted != was:
            log.info("admin state %s", wanted)
        was = wanted
        await asyncio.sleep(LOOK_EVERY)


def admin_state(state: Path) -> str:
    """Read agent.json; an edge that was told nothing is active."""
    try:
        return str(json.loads((state / "agent.json").read_text()).get("admin_state", "active"))
    except (OSError, ValueError, AttributeError):
        return "active"
