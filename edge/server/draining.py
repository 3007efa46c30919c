"""What the operator wants of this edge, as the agent writes it to agent.json.

A drain refuses new sessions and sends the others to the locator; when its deadline has passed, what is left is closed.
"""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger("edge.server.draining")

LOOK_EVERY = 0.5  # seconds: well within the time that the agent goes on announcing a draining edge


class Drained(Protocol):
    """Who holds the sessions."""

    draining: bool  # refuse new ones

    def ask_to_rehome(self) -> None: ...
    def close_sessions(self) -> None: ...


async def follow(state: Path, sessions: Drained) -> None:
    """Do what is wanted, again at each look, for sessions that came late; until cancelled."""
    was = "active"
    while True:
        wanted, phase = _read(state)
        sessions.draining = wanted == "draining"
        if sessions.draining and phase == "over":
            sessions.close_sessions()
        elif sessions.draining:
            sessions.ask_to_rehome()
        if wanted != was:
            log.info("admin state %s", wanted)
        was = wanted
        await asyncio.sleep(LOOK_EVERY)


def _read(state: Path) -> tuple[str, str | None]:
    """Admin state and phase of the drain; an edge that was told nothing is active."""
    try:
        value: Any = json.loads((state / "agent.json").read_text())
        return str(value.get("admin_state", "active")), value.get("drain")
    except (OSError, ValueError, AttributeError):
        return "active", None
