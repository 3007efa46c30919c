"""Follow the admin state that the agent writes to agent.json.

A drain refuses new sessions and asks the others to move to the locator; at its deadline it closes the rest.
"""

import asyncio
import logging
from pathlib import Path
from typing import Protocol

from node.state.desired_state import AdminState, DrainPhase, read_desired_state

log = logging.getLogger("edge.server.draining")

POLL_INTERVAL = 0.5  # seconds; shorter than the agent goes on announcing a draining edge


class DrainTarget(Protocol):
    """The owner of the sessions."""

    draining: bool  # refuse new ones

    def ask_to_rehome(self) -> None: ...
    def close_sessions(self) -> None: ...


async def follow_admin_state(state: Path, sessions: DrainTarget) -> None:
    """Apply the admin state, again at each poll for sessions begun meanwhile, until cancelled."""
    previous = AdminState.ACTIVE
    while True:
        desired = read_desired_state(state)
        wanted = desired.admin_state
        sessions.draining = wanted is AdminState.DRAINING
        if sessions.draining and desired.drain is DrainPhase.OVER:
            sessions.close_sessions()
        elif sessions.draining:
            sessions.ask_to_rehome()
        if wanted != previous:
            log.info("admin state %s", wanted.value)
        previous = wanted
        await asyncio.sleep(POLL_INTERVAL)
