"""Follow the admin state that the agent writes to agent.json.

A drain refuses new sessions and asks the others to move to the locator; at its deadline it closes the rest.
"""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger("edge.server.draining")

POLL_INTERVAL = 0.5  # seconds; shorter than the agent goes on announcing a draining edge


class DrainTarget(Protocol):
    """The owner of the sessions."""

    draining: bool  # refuse new ones

    def ask_to_rehome(self) -> None: ...
    def close_sessions(self) -> None: ...


async def follow_admin_state(state: Path, sessions: DrainTarget) -> None:
    """Apply the admin state, again at each poll for sessions begun meanwhile, until cancelled."""
    previous = "active"
    while True:
        wanted, phase = _read_admin_state(state)
        sessions.draining = wanted == "draining"
        if sessions.draining and phase == "over":
            sessions.close_sessions()
        elif sessions.draining:
            sessions.ask_to_rehome()
        if wanted != previous:
            log.info("admin state %s", wanted)
        previous = wanted
        await asyncio.sleep(POLL_INTERVAL)


def _read_admin_state(state: Path) -> tuple[str, str | None]:
    """Return the admin state and the phase of the drain; without agent.json the edge is active."""
    try:
        value: Any = json.loads((state / "agent.json").read_text())
        return str(value.get("admin_state", "active")), value.get("drain")
    except (OSError, ValueError, AttributeError):
        return "active", None
