"""Check this node periodically, decide, and let BIRD announce the VIP accordingly."""

import asyncio
import logging
import time

from balancer.agent.announce.announcement import Announcement, AnnouncementInputs, decide_announcement
from balancer.agent.announce.bird import Bird, BirdError
from balancer.agent.announce.drain_times import DrainTimes
from balancer.agent.announce.intent import Intent
from balancer.agent.health.findings import DebouncedFailure
from balancer.agent.health.node_watch import NodeMonitor
from balancer.agent.peers.peer_watch import PeerMonitor
from balancer.agent.state import NodeState
from balancer.agent.sync.lease import HeartbeatTrigger
from node.state.desired_state import AdminState, DrainPhase
from node.state.signs import LifeSign

log = logging.getLogger(__name__)


class Announcer:
    """Owns the announcement: no other process enables or disables it while this agent lives."""

    def __init__(
        self,
        state: NodeState,
        node: NodeMonitor,
        peers: PeerMonitor,
        intent: Intent,
        bird: Bird | None,
        *,
        times: DrainTimes,
        needs_forwarder: bool,
        changed: HeartbeatTrigger,
    ) -> None:
        self._state, self._node, self._peers, self._intent, self._bird = state, node, peers, intent, bird
        self._times = times
        self._needs_forwarder = needs_forwarder
        self._changed = changed
        self._soft_failure = DebouncedFailure()
        self._announced: Announcement | None = None  # None: not known, ask BIRD
        self._logged = ""
        self._sign_of_life = LifeSign(state.folder)
        self.drain: DrainPhase | None = None

    @property
    def announcing(self) -> bool:
        """Whether the VIP is announced and stays so: False also while a withdrawal grant is held."""
        return self._announced not in (None, Announcement.NONE) and not self._intent.grant.granted(
            time.monotonic()
        )

    async def run(self, seconds: float) -> None:
        """Check and act every `seconds` until cancelled."""
        while True:
            await self.check_once()
            self._sign_of_life.give_sign()
            if self._bird:
                await self._act(self._bird)
            await asyncio.sleep(seconds)

    async def check_once(self) -> None:
        """Check the node; a change triggers a heartbeat."""
        before = self._node.findings, self.drain, self._node.reports()
        findings = await self._node.check_node()
        self._follow_drain(findings.at_service_port)
        was = before[0]
        if (was.hard, was.soft, was.notes) != (findings.hard, findings.soft, findings.notes):
            log.info("health", extra={"health": findings.health.value, "reasons": findings.reasons})
        if (was.health, was.reasons, *before[1:]) != (
            findings.health,
            findings.reasons,
            self.drain,
            self._node.reports(),
        ):
            self._changed.trigger()
        if self.drain and was.sessions != findings.sessions:
            self._changed.trigger()  # an operator waits for the last session to end

    def _follow_drain(self, at_service_port: int | None) -> None:
        """Advance the drain, if there is one, and persist its phase."""
        desired = self._state.desired_state()
        if desired.admin_state is not AdminState.DRAINING:
            self.drain = None
            self._state.keep_drain(None)
            return
        # after a restart of the host no session of before is left
        since_start = desired.since.elapsed() if desired.since else float("inf")
        rehomed = desired.rehomed_after
        if rehomed is None:
            rehomed = self._times.rehomed_after(since_start, at_service_port)
            if rehomed is not None and at_service_port:
                log.warning("sessions stay at the service port", extra={"sessions": at_service_port})
        self.drain = self._times.phase(since_start, rehomed)
        self._state.keep_drain(self.drain, rehomed)

    async def withdraw(self) -> None:
        """Withdraw the VIP, as the last action before the agent ends."""
        if self._bird:
            await self._set_announcement(self._bird, Announcement.NONE, "the agent ends")

    async def _act(self, bird: Bird) -> None:
        credential = self._state.credential()
        if credential is None or credential.edge_id is None:
            return
        try:
            if self._announced is None:
                up = await bird.is_announcing()
                self._announced = Announcement.NORMAL if up else Announcement.NONE
        except BirdError as error:
            self._log_once("BIRD does not answer", str(error))
            return
        was, inputs = self.announcing, self._inputs(credential.edge_id)
        await self._set_announcement(
            bird, *decide_announcement(self._announced is not Announcement.NONE, inputs)
        )
        if self.announcing != was or not inputs.in_forwarders:
            self._changed.trigger()  # ask for permission to announce at each check

    def _inputs(self, edge_id: int) -> AnnouncementInputs:
        findings, now = self._node.findings, time.monotonic()
        soft = self._soft_failure.update(findings.soft, now)
        before = self._intent.grant.asking
        self._intent.grant.update(soft is not None, now)
        if self._intent.grant.asking and not before:
            self._changed.trigger()
        return AnnouncementInputs(
            admin_state=self._state.desired_state().admin_state,
            drain=self.drain,
            hard=findings.hard[0] if findings.hard else None,
            soft=soft,
            granted=self._intent.grant.granted(now),
            must_announce=self._intent.grant.must_announce(now),
            stand_in=self._peers.stand_in() if self._intent.is_silent(now) else None,
            forwarder_ready=self._state.applied_generation() is not None or not self._needs_forwarder,
            in_forwarders=self._announced is not Announcement.NONE
            or self._intent.may_begin(now, self._state, edge_id),
        )

    async def _set_announcement(self, bird: Bird, announcement: Announcement, why: str) -> None:
        # repeated at each check: BIRD may have been restarted with the route disabled
        try:
            await bird.set_announcement(announcement)
        except BirdError as error:
            self._announced = None
            self._log_once("BIRD does not answer", str(error))
            return
        self._announced = announcement
        self._log_once(announcement.value, why)

    def _log_once(self, event: str, why: str) -> None:
        if self._logged != event + why:
            log.info(event, extra={"why": why})
        self._logged = event + why
