"""Serve sessions of services of kind tcp: admission, a target, and bytes both ways until both directions have ended."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from edge.origins.addresses import IPAddress
from edge.origins.connecting import OriginConnector
from edge.services.active_service import ActiveService
from edge.services.admission.gate import NotAdmitted
from edge.services.admission.pacing import SessionPacer
from edge.services.directory import ServiceDirectory
from edge.services.served_connection import ServedConnection
from edge.streams.targets import NoTarget, TargetTurns
from edge.telemetry.figures import ServiceFigures
from edge.telemetry.telemetry import Telemetry
from services.document import TcpService
from smkex.core.errors import Cancelled, Overloaded, ServiceRefused, SmkexError
from smkex.server.callbacks import CallbackRunner
from smkex.server.connection import AcceptedConnection
from smkex.server.proxy_header import build_proxy_header
from smkex.transport.relay import Streams, copy_both_ways
from smkex.transport.session import SessionTransport

log = logging.getLogger("edge.streams")

CONFIRMATION_TIMEOUT = (
    10.0  # seconds that a session has to confirm its second path where the service needs it
)
_POLL = 0.01


class StreamServices:
    """Serves the sessions whose server name belongs to a service of kind tcp.

    A session keeps the revision that it began with. `refusal` says why an address must not be connected to.
    """

    def __init__(
        self,
        directory: ServiceDirectory,
        refusal: Callable[[IPAddress], str | None],
        telemetry: Telemetry,
    ) -> None:
        self._directory = directory
        self._connector = OriginConnector(refusal=refusal)
        self._telemetry = telemetry
        self._callbacks = CallbackRunner()
        self._turns: dict[str, TargetTurns] = {}
        self._open: Counter[str] = Counter()

    def create_protocol(self, session: SessionTransport) -> asyncio.Protocol | None:
        """Return the protocol of a session that is no HTTP, None for one that is."""
        name = session.established.server_name
        service = self._directory.current.find_service(name) if name else None
        if service is None or not isinstance(service.document, TcpService):
            return None
        session.breaks_off = True  # an end that the stream's own parties did not send would look like theirs
        callback = partial(self._serve_session, service, service.document)
        return self._callbacks.start_callback(session, callback)

    async def _serve_session(
        self, service: ActiveService, document: TcpService, connection: AcceptedConnection
    ) -> None:
        session = connection.session
        if self._open[service.name] >= document.connections:
            session.fail(Overloaded())
            return
        figures = self._telemetry.figures.of_service(service.name)
        figures.requests += 1
        self._open[service.name] += 1
        try:
            pacer = await self._admit(service, document, session)
            await self._carry(service, document, connection, pacer, figures)
        except NotAdmitted as error:
            log.info("service %s: refused: %s", service.name, error)
            session.fail(ServiceRefused(str(error)))
        except NoTarget as error:
            log.warning("service %s: no target: %s", service.name, error)
            figures.incomplete += 1
            session.fail(Cancelled("no target"))
        except (OSError, SmkexError, TimeoutError) as error:
            log.info("service %s: a session ended early: %s", service.name, error or type(error).__name__)
            figures.incomplete += 1
            session.fail(Cancelled("the stream broke off"))
        finally:
            self._open[service.name] -= 1
            if not self._open[service.name]:
                del self._open[service.name]

    async def _admit(
        self, service: ActiveService, document: TcpService, session: SessionTransport
    ) -> SessionPacer | None:
        """Raises `NotAdmitted`, also where the second path is not confirmed in time."""
        served = ServedConnection.of_transport(session, self._telemetry.owner)
        if document.required.both_paths:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONFIRMATION_TIMEOUT):
                    while not served.path_confirmed():  # noqa: ASYNC110 (the handshake has no notification)
                        await asyncio.sleep(_POLL)
        service.gate.check_connection(served)
        return service.gate.make_pacer()

    async def _carry(
        self,
        service: ActiveService,
        document: TcpService,
        connection: AcceptedConnection,
        pacer: SessionPacer | None,
        figures: ServiceFigures,
    ) -> None:
        session = connection.session
        turns = self._turns.setdefault(service.name, TargetTurns(self._connector))
        target, streams = await turns.connect_next(document.targets, figures)
        if target.proxy_protocol:
            streams.writer.write(build_proxy_header(session))
        client = Streams(
            connection.reader, connection.writer, lambda: session.fail(Cancelled("the target broke off"))
        )

        async def count_sent(size: int) -> None:
            figures.bytes_out += size
            if pacer is not None:
                pacer.record_sent(size, time.monotonic())
                await asyncio.sleep(pacer.delay(time.monotonic()))

        async def count_received(size: int) -> None:
            figures.bytes_in += size

        await copy_both_ways(
            client,
            streams,
            idle=document.idle_timeout,
            on_near=count_received,
            on_far=count_sent,
        )
        with contextlib.suppress(OSError):
            await streams.close()
