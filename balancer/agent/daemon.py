"""The agent: enrol, then keep lease, table and announcement concurrently until SIGTERM or removal."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from balancer.agent.announce.announcer import Announcer
from balancer.agent.announce.drain_times import DrainTimes
from balancer.agent.announce.intent import Intent
from balancer.agent.announce.watcher_process import start_watcher
from balancer.agent.announce.withdraw import configured_bird, withdraw
from balancer.agent.enrolment import NotEnrolled, enrol, own_credential, own_key
from balancer.agent.health.figure_reports import FigureReporter
from balancer.agent.health.forward_rates import ForwardRateMeter
from balancer.agent.health.node_watch import NodeMonitor
from balancer.agent.health.origin_reports import report_origins
from balancer.agent.metrics import AgentMetrics, serve_metrics
from balancer.agent.peers.neighbours import PeerSelection
from balancer.agent.peers.peer_answer import PeerEndpoint
from balancer.agent.peers.peer_watch import PeerMonitor
from balancer.agent.peers.signed_answer import PeerAnswer
from balancer.agent.settings import AgentSettings
from balancer.agent.state import NodeState
from balancer.agent.sync.applied_services import report_applied, trigger_reports
from balancer.agent.sync.backoff import Backoff
from balancer.agent.sync.fast_open_keys import FastOpenKeyFollower
from balancer.agent.sync.freshness import FreshnessMonitor
from balancer.agent.sync.instance import new_instance
from balancer.agent.sync.lease import EdgeRemoved, HeartbeatTrigger, keep_lease
from balancer.agent.sync.purges import PurgeFollower
from balancer.agent.sync.service_follower import ServiceSync
from balancer.agent.sync.shield_sites import ShieldSync
from balancer.agent.sync.table_follower import follow_table
from balancer.api.client import ApiError, ControlClient, Unreachable
from balancer.api.schemas import LeaseGrant, LeaseRequest
from balancer.api.services_client import ServicesClient
from node.state.catalogue import EDGE_SOCKET
from node.state.credential import Credential
from runtime.errors import CommandError
from runtime.logging import report_ready
from runtime.systemd import feed_watchdog

log = logging.getLogger(__name__)


class Agent:
    """One node's agent."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self.restarting = False  # the announcement is left to the next program of this process
        self._instance = new_instance()
        self._state = NodeState(settings.state)
        self._services = ServiceSync(
            self._state.services,
            self._state.verify_services,
            self._state.keep_services,
            self._state.has_services,
        )
        self._freshness = FreshnessMonitor(self._state)
        self._shield = ShieldSync(self._state.keep_shield_sites)
        self._watched_services: list[str] = []
        self._changed = HeartbeatTrigger()
        self._figures = FigureReporter()
        self._purges = PurgeFollower(self._state, self._changed)
        self._fast_open = FastOpenKeyFollower(self._state)
        self._intent = Intent()
        self._neighbourhood = PeerSelection(settings.state)
        self._peers = PeerMonitor(settings.peer_port)
        self._forwards = ForwardRateMeter(settings.state)
        self._node = NodeMonitor(
            self._state,
            settings.edge_socket or EDGE_SOCKET.path_in(settings.state),
            self._peers,
            forwarder=settings.forwarder,
            vip_check=settings.vip_check,
            find_notes=self._find_notes,
        )
        self._announcer = Announcer(
            self._state,
            self._node,
            self._peers,
            self._intent,
            configured_bird(settings),
            times=DrainTimes(
                settings.rehoming_seconds,
                settings.rehoming_limit_seconds,
                settings.shutdown_seconds,
                settings.drain_seconds,
            ),
            needs_forwarder=settings.forwarder,
            changed=self._changed,
        )

    async def run(self) -> None:
        """Run until cancelled; raises NotEnrolled or EdgeRemoved. Withdraws at the end, unless it starts again."""
        credential = own_credential(self._settings, self._state)
        self._peer_key = own_key(self._state)
        end_metrics = self._serve_metrics()
        watcher = await self._start_watcher()
        try:
            async with (
                ServicesClient(self._settings.control, ca=self._settings.ca, timeout=5.0) as client,
                asyncio.TaskGroup() as group,
            ):
                await self._announcer.check_once()
                group.create_task(self._announcer.run(self._settings.probe_seconds))
                group.create_task(self._control(client, credential))
                if self._settings.peer_port:
                    group.create_task(self._watch_peers())
                    group.create_task(
                        PeerEndpoint(self._addresses(), self._settings.peer_port, self._answer_peer).run()
                    )
                group.create_task(feed_watchdog())
        except BaseExceptionGroup as errors:
            raise _first_error(errors) from errors
        finally:
            if not self.restarting:
                await asyncio.shield(self._announcer.withdraw())
            end_metrics()
            if watcher is not None:
                with contextlib.suppress(ProcessLookupError):
                    watcher.terminate()
                await watcher.wait()

    def _serve_metrics(self) -> Callable[[], None]:
        if self._settings.metrics is None:
            return lambda: None
        address, _, port = self._settings.metrics.rpartition(":")
        asked = AgentMetrics(self._announcer, self._node, self._intent, self._state, self._freshness)
        return serve_metrics(address.strip("[]"), int(port), asked)

    async def _start_watcher(self) -> asyncio.subprocess.Process | None:
        chosen = self._settings
        if chosen.bird_socket is None:
            return None
        return await start_watcher(
            chosen.state,
            chosen.bird_socket,
            chosen.bird_protocol,
            chosen.bird_state_file,
            chosen.deadman_seconds,
        )

    async def _watch_peers(self) -> None:
        while True:
            credential = self._state.credential()
            if credential is not None and credential.edge_id is not None:
                await self._peers.check_peers(self._neighbourhood.peers(credential.edge_id))
            await asyncio.sleep(self._settings.probe_seconds)

    def _addresses(self) -> tuple[str, ...]:
        chosen = self._settings
        every = (chosen.tunnel_v4, chosen.tunnel_v6, chosen.outside_v4, chosen.outside_v6)
        return tuple(str(address) for address in every if address is not None)

    def _answer_peer(self, nonce: bytes) -> dict[str, Any] | None:
        """Return the signed answer to another agent, None before this node has enrolled."""
        credential = self._state.credential()
        if credential is None or credential.edge_id is None:
            return None
        generation = self._state.table_generation() or 0
        answer = PeerAnswer(credential.edge_id, generation, self._announcer.announcing, self._peers.cut_off)
        return answer.sign(self._peer_key, nonce)

    async def _control(self, client: ServicesClient, credential: Credential) -> None:
        if credential.edge_id is not None:
            report_ready()  # the state on disk serves while the control plane is unreachable
        enrolled = await self._enrol(client, credential)
        assert enrolled.edge_id is not None
        if credential.edge_id is None:
            report_ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(
                keep_lease(client, enrolled.edge_id, self._heartbeat, self._apply_answer, self._changed)
            )
            group.create_task(
                follow_table(client, self._state, enrolled.edge_id, self._changed, self._freshness)
            )
            group.create_task(self._services.follow(client))
            group.create_task(self._shield.follow(client, lambda: self._services.kept))
            group.create_task(trigger_reports(self._settings.state, self._changed))
            group.create_task(self._purges.follow(client))
            group.create_task(self._fast_open.follow(client))

    async def _enrol(self, client: ControlClient, credential: Credential) -> Credential:
        backoff = Backoff()
        while True:
            try:
                return (
                    await enrol(
                        self._settings, self._state, client, credential, self._peer_key, self._instance
                    )
                )[0]
            except Unreachable as error:
                log.warning("cannot enrol yet", extra={"why": str(error)})
            except ApiError as error:
                if error.slug == "edge-removed":
                    raise EdgeRemoved from None
                if error.status < 500 and error.slug not in ("no-vip", "edge-held", "too-many-guesses"):
                    if credential.edge_id is None:
                        raise NotEnrolled(str(error)) from None
                    log.error(
                        "could not report this edge's addresses to the control plane",
                        extra={"why": str(error)},
                    )
                    client.token = credential.token
                    return credential
                log.warning("cannot enrol yet", extra={"why": str(error)})
            await asyncio.sleep(backoff.delay())

    def _find_notes(self) -> tuple[str, ...]:
        """Return what is older than the control plane says, once this node has a table."""
        if self._state.table_generation() is None:
            return ()
        kept = self._services.kept
        return self._freshness.find_faults(kept.generation if kept is not None else None)

    def _heartbeat(self) -> LeaseRequest:
        findings = self._node.findings
        return LeaseRequest(
            instance=self._instance,
            health=findings.health,
            reasons=findings.reasons,
            applied_generation=self._state.applied_generation(),
            announcing=self._announcer.announcing,
            withdraw=self._intent.grant.asking,
            peers=self._node.reports(),
            sessions=findings.sessions,
            forwards=self._forwards.rates(),
            drain=self._announcer.drain,
            figures=self._figures.next_report(self._node.figures),
            applied_purge=self._state.applied_purge(),
            services=report_applied(self._settings.state, self._node.figures, self._watched_services),
            origins=report_origins(self._node.origins),
            table_keys=self._state.key_fingerprints(),
        )

    def _apply_answer(self, sent_at: float, sent: LeaseRequest, grant: LeaseGrant) -> None:
        self._intent.apply_answer(sent_at, sent, grant)
        self._figures.acknowledge(sent.figures)
        self._state.keep_desired_state(grant.admin_state)
        self._fast_open.report_newest(grant.newest_fast_open_key)
        self._watched_services = grant.watched_services


def _first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first_error(error) if isinstance(error, BaseExceptionGroup) else error


async def _run_until_signal(agent: Agent, reread: Callable[[], object]) -> None:
    loop, running = asyncio.get_running_loop(), asyncio.create_task(agent.run())

    def end() -> None:
        agent.restarting = False
        running.cancel()

    def restart() -> None:
        try:
            reread()
        except CommandError as error:
            log.error("reload failed, keeping the running agent", extra={"why": str(error)})
            return
        agent.restarting = True
        running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, restart)
    with contextlib.suppress(asyncio.CancelledError):
        await running


def run(settings: AgentSettings, reread: Callable[[], object]) -> None:
    """Run the agent until SIGTERM; raises NotEnrolled or EdgeRemoved.

    SIGHUP starts the program again in this process, with the announcement as it is, if `reread` accepts the settings.
    """
    agent = Agent(settings)
    asyncio.run(_run_until_signal(agent, reread))
    if agent.restarting:
        log.info("starting again", extra={"program": sys.argv[0]})
        try:
            _execute_again()
        except OSError:
            withdraw(settings)
            raise


def _execute_again() -> None:
    """Replace this process by a new start of its program, which may have been upgraded meanwhile."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the next start has its handler: exec keeps it
    if os.access(sys.argv[0], os.X_OK):
        os.execv(sys.argv[0], sys.argv)  # noqa: S606 (the command that this process was started with)
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606
