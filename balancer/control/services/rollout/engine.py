"""Move rollouts on: each instance judges those under way some times a second, and the one that leads moves them.

What moves one judges it again inside the change, by what the database has then: another instance may have passed the
stage, returned the rollout or begun another since.
"""

import logging
from datetime import datetime

from balancer.api.access import Role
from balancer.api.services import RolloutAction, RolloutState, RolloutView, StageBody
from balancer.control.authentication.caller import Caller
from balancer.control.clock import Clock
from balancer.control.http.problems import Refusal
from balancer.control.services.published.live import LiveService
from balancer.control.services.published.publication import ServicePublication
from balancer.control.services.rollout import repository as rollouts
from balancer.control.services.rollout.progress import NextStep, StageProgress
from balancer.control.services.rollout.service import pass_stage, return_rollout, set_paused
from balancer.control.services.rollout.signs import EdgeSigns
from balancer.control.services.rollout.verdict import StageHealth
from balancer.control.services.service import find_service
from balancer.control.storage.records import ServiceRolloutRecord
from balancer.control.storage.store import Store

log = logging.getLogger(__name__)
BY = Caller(Role.OPERATE, "control plane")
WATCHED_LIMIT = 64  # services whose counts heartbeats name
StageKey = tuple[str, int, datetime, int]  # service, candidate, start of the rollout, stage


class RolloutEngine:
    """What this instance has seen of the stages that are under way; restarts begin a stage's dwell time anew."""

    def __init__(self, store: Store, clock: Clock, publication: ServicePublication, signs: EdgeSigns) -> None:
        self._store = store
        self._clock = clock
        self._publication = publication
        self._live = publication.live
        self._signs = signs
        self._progress: dict[StageKey, StageProgress] = {}

    def watched_services(self) -> list[str]:
        """Return the services whose counts edges must report."""
        return sorted(name for name, each in self._live.rolling_services())[:WATCHED_LIMIT]

    async def watch_rollouts(self, *, leads: bool) -> None:
        """Judge every rollout once. Where this instance leads, pass or return those that are due."""
        if not self._live.is_rolling and not self._progress:
            return
        async with self._store.read() as session:
            found = await rollouts.list_under_way(session)
        seen = set()
        for record in found:
            seen.add(_key_of(record))
            if self._judge_step(record) is not NextStep.WAIT and leads:
                await self._move(record)
        self._progress = {key: each for key, each in self._progress.items() if key in seen}

    def _judge_stage(self, record: ServiceRolloutRecord) -> StageProgress:
        now = self._clock.monotonic()
        progress = self._progress.setdefault(_key_of(record), StageProgress(now))
        service = self._live.services.get(record.service)
        if service is None or not _is_stage_of(service, record):
            progress.forget_verdict()  # begun by another instance, and not read yet
        else:
            progress.judge_stage(*self._signs.collect_signs(record.service, service), now)
        return progress

    def _judge_step(self, record: ServiceRolloutRecord) -> NextStep:
        step = self._judge_stage(record).next_step(self._clock.monotonic(), record.dwell_seconds)
        paused = record.state == RolloutState.PAUSED
        return NextStep.WAIT if paused and step is NextStep.ADVANCE else step

    async def _move(self, seen: ServiceRolloutRecord) -> None:
        async with self._store.change() as session:
            record = await rollouts.find_under_way(session, seen.service)
            if record is None or _key_of(record) != _key_of(seen):
                return
            await self._publication.catch_up(session)
            step, progress = self._judge_step(record), self._progress[_key_of(record)]
            if step is NextStep.WAIT:
                return
            if step is NextStep.ADVANCE:
                try:
                    await pass_stage(session, self._store, record, BY)
                except Refusal as refusal:
                    await return_rollout(session, self._store, record, BY, refusal.detail)
            else:
                why = progress.verdict.why or "not well in time"
                await return_rollout(session, self._store, record, BY, why)
        log.info("rollout moved", extra={"service": seen.service, "step": step, "why": progress.verdict.why})

    async def steer_rollout(self, name: str, action: RolloutAction, by: Caller) -> None:
        """Do what an operator asks; a stage that is not well is passed by no one."""
        async with self._store.change() as session:
            await find_service(session, name)
            record = await rollouts.find_under_way(session, name)
            if record is None:
                raise Refusal(409, "no-rollout", f"no rollout of {name} is under way", field="action")
            match action:
                case RolloutAction.ADVANCE:
                    await self._publication.catch_up(session)
                    verdict = self._judge_stage(record).verdict
                    if verdict.health is not StageHealth.WELL:
                        detail = f"the stage is {verdict.health.value}: {verdict.why}"
                        raise Refusal(409, "stage-not-well", detail, field="action")
                    await pass_stage(session, self._store, record, by)
                case RolloutAction.RETURN:
                    why = by.why or f"returned by {by.name}"
                    await return_rollout(session, self._store, record, by, why)
                case _:
                    paused = action is RolloutAction.PAUSE
                    await set_paused(session, self._store, record, by, paused=paused)

    async def view_rollout(self, name: str) -> RolloutView:
        """Show the last rollout of a service."""
        async with self._store.read() as session:
            service = await find_service(session, name)
            record = await rollouts.find_rollout(session, name)
        if record is None:
            raise Refusal(404, "no-rollout", f"{name} had no rollout", field="name")
        progress = self._judge_stage(record) if record.state in rollouts.UNDER_WAY else None
        since = progress.well_since if progress else None
        return RolloutView(
            candidate=record.candidate,
            before=service.active,
            state=RolloutState(record.state),
            stages=[StageBody.model_validate(stage) for stage in record.stages],
            position=record.position,
            dwell_seconds=record.dwell_seconds,
            health=progress.verdict.health if progress else "ended",
            why=progress.verdict.why if progress else record.why,
            well_seconds=round(self._clock.monotonic() - since, 1) if since is not None else 0.0,
            edges=progress.members if progress else 0,
            started_at=record.started_at,
            started_by=record.started_by,
        )


def _key_of(record: ServiceRolloutRecord) -> StageKey:
    return record.service, record.candidate, record.started_at, record.position


def _is_stage_of(service: LiveService, record: ServiceRolloutRecord) -> bool:
    candidate = service.candidate.revision if service.candidate else None
    return candidate == record.candidate and service.stages == rollouts.begun_stages(record)
