"""Look at this node again and again, decide, and let BIRD announce the VIP accordingly."""

import asyncio
import logging
import time

from balancer.agent.announce.announcement import Announcement, Situation, decide
from balancer.agent.announce.bird import Bird, BirdError
from balancer.agent.announce.drain_times import DrainTimes
from balancer.agent.announce.intent import Intent
from balancer.agent.health.findings import Lasting
from balancer.agent.health.node_watch import NodeWatch
from balancer.agent.peers.peer_watch import PeerWatch
from balancer.agent.state import NodeState
from balancer.agent.sync.lease import Changed
from node.state.desired_state import AdminState, DrainPhase
from node.state.signs import LifeSign

log = logging.getLogger(__name__)


class Announcer:
    """Owns the announcement: nobody else enables or disables it while this agent lives."""

    def __init__(
        self,
        state: NodeState,
        node: NodeWatch,
        peers: PeerWatch,
        intent: Intent,
        bird: Bird | None,
        *,
        times: DrainTimes,
        needs_forwarder: bool,
        changed: Changed,
    ) -> None:
        self._state, self._node, self._peers, self._intent, self._bird = state, node, peers, intent, bird
        self._times = times
        self._needs_forwarder = needs_forwarder
        self._changed = changed
        self._lasting = Lasting()
        self._shown: Announcement | None = None  # None: not known, ask BIRD
        self._said = ""
        self._sign_of_life = LifeSign(state.folder)
        self.drain: DrainPhase | None = None

    @property
    def announcing(self) -> bool:
        """Whether the VIP is announced, and will be: one that has leave to withdraw is as good as away."""
        return self._shown not in (None, Announcement.NONE) and not self._intent.leave.granted(
            time.monotonic()
        )

    async def run(self, seconds: float) -> None:
        """Look and act every `seconds` until cancelled."""
        while True:
            await self.look()
            self._sign_of_life.give_sign()
            if self._bird:
                await self._act(self._bird)
            await asyncio.sleep(seconds)

    async def look(self) -> None:
        """Look at the node; what changes is worth a heartbeat."""
        before = self._node.findings, self.drain, self._node.reports()
        findings = await self._node.look()
        self._follow_drain(findings.at_service_port)
        was = before[0]
        if (was.hard, was.soft) != (findings.hard, findings.soft):
            log.info("health", extra={"health": findings.health.value, "reasons": findings.reasons})
        if (was.health, was.reasons, *before[1:]) != (
            findings.health,
            findings.reasons,
            self.drain,
            self._node.reports(),
        ):
            self._changed.note()
        if self.drain and was.sessions != findings.sessions:
            self._changed.note()  # somebody waits for the last one

    def _follow_drain(self, at_service_port: int | None) -> None:
        """See how far the drain has come, if there is one, and keep that."""
        desired = self._state.desired_state()
        if desired.admin_state is not AdminState.DRAINING:
            self.drain = None
            self._state.keep_drain(None)
            return
        since_start, rehomed = max(0.0, time.time() - desired.since), desired.rehomed_after
        if rehomed is None:
            rehomed = self._times.rehomed_after(since_start, at_service_port)
            if rehomed is not None and at_service_port:
                log.warning("sessions stay at the service port", extra={"sessions": at_service_port})
        self.drain = self._times.phase(since_start, rehomed)
        self._state.keep_drain(self.drain, rehomed)

    async def withdraw(self) -> None:
        """Stop announcing, as the last thing that is done."""
        if self._bird:
            await self._show(self._bird, Announcement.NONE, "the agent ends")

    async def _act(self, bird: Bird) -> None:
        credential = self._state.credential()
        if credential is None or credential.edge_id is None:
            return
        try:
            if self._shown is None:
                up = await bird.is_announcing()
                self._shown = Announcement.NORMAL if up else Announcement.NONE
        except BirdError as error:
            self._say("BIRD does not answer", str(error))
            return
        was, situation = self.announcing, self._situation(credential.edge_id)
        await self._show(bird, *decide(self._shown is not Announcement.NONE, situation))
        if self.announcing != was or not situation.held:
            self._changed.note()  # who waits for the others' forwarders asks at each look

    def _situation(self, edge_id: int) -> Situation:
        findings, now = self._node.findings, time.monotonic()
        soft = self._lasting.look(findings.soft, now)
        before = self._intent.leave.asking
        self._intent.leave.look(soft is not None, now)
        if self._intent.leave.asking and not before:
            self._changed.note()
        return Situation(
            admin_state=self._state.desired_state().admin_state,
            drain=self.drain,
            hard=findings.hard[0] if findings.hard else None,
            soft=soft,
            granted=self._intent.leave.granted(now),
            must_announce=self._intent.leave.must_announce(now),
            stand_in=self._peers.stand_in() if self._intent.silent(now) else None,
            forwarder_ready=self._state.applied_generation() is not None or not self._needs_forwarder,
            held=self._shown is not Announcement.NONE or self._intent.held(now, self._state, edge_id),
        )

    async def _show(self, bird: Bird, announcement: Announcement, why: str) -> None:
        # said every time, not only on changes: BIRD may have been restarted, with the route disabled
        try:
            await bird.show(announcement)
        except BirdError as error:
            self._shown = None
            self._say("BIRD does not answer", str(error))
            return
        self._shown = announcement
        self._say(announcement.value, why)

    def _say(self, what: str, why: str) -> None:
        if self._said != what + why:
            log.info(what, extra={"why": why})
        self._said = what + why
