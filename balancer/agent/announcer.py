"""Look at the edge's health again and again, and let BIRD announce the VIP or not accordingly."""

import asyncio
import logging
import time
from pathlib import Path

from balancer.agent.announcement import Situation, decide
from balancer.agent.bird import Bird, BirdError
from balancer.agent.edge_health import EdgeHealth, ask
from balancer.agent.lease import Changed
from balancer.agent.state import NodeState
from balancer.api.schemas import AdminState, Health

log = logging.getLogger(__name__)


class Announcer:
    """Owns the announcement: nobody else enables or disables it."""

    def __init__(
        self,
        state: NodeState,
        edge_socket: Path,
        bird: Bird | None,
        *,
        needs_forwarder: bool,
        changed: Changed,
    ) -> None:
        self._state = state
        self._edge_socket = edge_socket
        self._bird = bird
        self._needs_forwarder = needs_forwarder
        self._changed = changed
        self._announcing: bool | None = None  # None: not known, ask BIRD
        self._said = ""
        self._draining_since: float | None = None
        self.health = EdgeHealth(Health.DOWN, ("not asked yet",))

    async def run(self, seconds: float) -> None:
        """Look and act every `seconds` until cancelled."""
        while True:
            await self.look()
            if self._bird:
                await self._act(self._bird)
            await asyncio.sleep(seconds)

    async def look(self) -> None:
        """Ask the edge how it is."""
        before, self.health = self.health, await ask(self._edge_socket)
        if before != self.health:
            log.info("edge", extra={"health": self.health.status.value, "reasons": self.health.reasons})
            self._changed.note()

    async def withdraw(self) -> None:
        """Stop announcing, as the last thing that is done."""
        if self._bird:
            await self._switch(self._bird, False, "the agent ends")

    async def _act(self, bird: Bird) -> None:
        credential = self._state.credential()
        applied = self._state.applied_generation() is not None
        admin_state = AdminState(self._state.admin_state())
        situation = Situation(
            health=self.health.status,
            forwarder_ready=applied or not self._needs_forwarder,
            admin_state=admin_state,
            drained_for=self._drained_for(admin_state),
        )
        if credential is None or credential.edge_id is None:
            return
        try:
            if self._announcing is None:
                self._announcing = await bird.is_announcing()
        except BirdError as error:
            self._say("BIRD does not answer", str(error))
            return
        wanted, why = decide(self._announcing, situation)
        await self._switch(bird, wanted, why)

    def _drained_for(self, admin_state: AdminState) -> float:
        now = time.monotonic()
        if admin_state is not AdminState.DRAINING:
            self._draining_since = None
            return 0.0
        if self._draining_since is None:
            self._draining_since = now
        return now - self._draining_since

    async def _switch(self, bird: Bird, wanted: bool, why: str) -> None:
        # said every time, not only on changes: BIRD may have been restarted, with the route disabled
        try:
            await (bird.announce() if wanted else bird.withdraw())
        except BirdError as error:
            self._announcing = None
            self._say("BIRD does not answer", str(error))
            return
        self._announcing = wanted
        self._say("announced" if wanted else "withdrawn", why)

    def _say(self, what: str, why: str) -> None:
        if self._said != what + why:
            log.info(what, extra={"why": why})
        self._said = what + why
