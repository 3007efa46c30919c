"""The agent's life: enrol, then lease, table and announcement side by side until SIGTERM or removal."""

import asyncio
import contextlib
import logging
import signal

from balancer.agent.announcer import Announcer
from balancer.agent.backoff import Backoff
from balancer.agent.bird import Bird
from balancer.agent.enrolment import NotEnrolled, enrol, own_credential
from balancer.agent.follow import follow_table
from balancer.agent.lease import Changed, Removed, keep_lease
from balancer.agent.settings import AgentSettings
from balancer.agent.state import Credential, NodeState
from balancer.api.client import ApiError, ControlClient, Unreachable
from balancer.api.schemas import LeaseRequest
from balancer.daemon import say_ready

log = logging.getLogger(__name__)


class Agent:
    """One node's agent."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._state = NodeState(settings.state)
        self._changed = Changed()
        self._announcer = Announcer(
            self._state,
            settings.edge_socket or settings.state / "edge.sock",
            Bird(settings.bird_socket, settings.bird_protocol) if settings.bird_socket else None,
            needs_forwarder=settings.forwarder,
            changed=self._changed,
        )

    async def run(self) -> None:
        """Run until cancelled; raises NotEnrolled or Removed. Ends with the announcement withdrawn."""
        credential = own_credential(self._settings, self._state)
        try:
            async with (
                ControlClient(self._settings.control, ca=self._settings.ca, timeout=5.0) as client,
                asyncio.TaskGroup() as group,
            ):
                await self._announcer.look()
                group.create_task(self._announcer.run(self._settings.probe_seconds))
                group.create_task(self._intent(client, credential))
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        finally:
            await asyncio.shield(self._announcer.withdraw())

    async def _intent(self, client: ControlClient, credential: Credential) -> None:
        if credential.edge_id is not None:
            say_ready()  # what is on disk serves while the control plane is away
        enrolled = await self._enrol(client, credential)
        assert enrolled.edge_id is not None
        if credential.edge_id is None:
            say_ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(
                keep_lease(client, enrolled.edge_id, self._state, self._heartbeat, self._changed)
            )
            group.create_task(follow_table(client, self._state, enrolled.edge_id, self._changed))

    async def _enrol(self, client: ControlClient, credential: Credential) -> Credential:
        backoff = Backoff()
        while True:
            try:
                return (await enrol(self._settings, self._state, client, credential))[0]
            except Unreachable as error:
                log.warning("cannot enrol yet", extra={"why": str(error)})
            except ApiError as error:
                if error.slug == "edge-removed":
                    raise Removed from None
                if error.status < 500 and error.slug != "no-vip":
                    if credential.edge_id is None:
                        raise NotEnrolled(str(error)) from None
                    log.error("where this edge is could not be told", extra={"why": str(error)})
                    client.token = credential.token
                    return credential
                log.warning("cannot enrol yet", extra={"why": str(error)})
            await asyncio.sleep(backoff.delay())

    def _heartbeat(self) -> LeaseRequest:
        health = self._announcer.health
        return LeaseRequest(
            health=health.status,
            reasons=list(health.reasons),
            applied_generation=self._state.applied_generation(),
        )


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _until_told(agent: Agent) -> None:
    running = asyncio.create_task(agent.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


def run(settings: AgentSettings) -> None:
    """Run the agent until SIGTERM; raises NotEnrolled or Removed."""
    asyncio.run(_until_told(Agent(settings)))
