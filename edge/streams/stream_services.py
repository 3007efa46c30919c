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
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.stream_record import StreamEnd, StreamRecord
from edge.telemetry.telemetry import Telemetry
from services.document import TcpService
from smkex.core.errors import Cancelled, Overloaded, ServiceRefused, SmkexError
from smkex.server.callbacks import CallbackRunner
from smkex.server.connection import AcceptedConnection
from smkex.server.proxy_header import build_proxy_header
from smkex.transport.driver import SessionDriver
from smkex.transport.relay import Streams, copy_both_ways

log = logging.getLogger("edge.streams")

CONFIRMATION_TIMEOUT = (
    10.0  # seconds that a session has to confirm its second path where the service needs it
)
_POLL = 0.01
_TARGET_FAULTS = frozenset({StreamEnd.NO_TARGET, StreamEnd.TARGET_BROKE_OFF})


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

    def create_protocol(self, session: SessionDriver) -> asyncio.Protocol | None:
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
        facts = ConnectionFacts.of_transport(session, self._telemetry.owner)
        established = session.established
        record = self._telemetry.begin_stream(
            facts, established.session_id, service.name, service.revision, established.server_name
        )
        self._open[service.name] += 1
        try:
            if self._open[service.name] > document.connections:
                raise Overloaded
            pacer = await self._admit(service, document, session)
            await self._carry(service, document, connection, pacer, record)
            record.end = StreamEnd.WHOLE
        except (NotAdmitted, NoTarget, OSError, SmkexError, TimeoutError) as error:
            record.end = _end_of(error)
            record.detail = str(error) or type(error).__name__
            session.fail(_abort_of(record.end, error))
            _log_end(record)
        finally:
            self._telemetry.finish_stream(record)
            self._open[service.name] -= 1
            if not self._open[service.name]:
                del self._open[service.name]

    async def _admit(
        self, service: ActiveService, document: TcpService, session: SessionDriver
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
        record: StreamRecord,
    ) -> None:
        session, figures = connection.session, record.figures
        turns = self._turns.setdefault(service.name, TargetTurns(self._connector))
        target, streams = await turns.connect_next(document.targets, record)
        if target.proxy_protocol:
            streams.writer.write(build_proxy_header(session))
        client = Streams(
            connection.reader, connection.writer, lambda: session.fail(Cancelled("the target broke off"))
        )

        async def count_sent(size: int) -> None:
            record.bytes_out += size
            figures.bytes_out += size
            if pacer is not None:
                pacer.record_sent(size, time.monotonic())
                await asyncio.sleep(pacer.delay(time.monotonic()))

        async def count_received(size: int) -> None:
            record.bytes_in += size
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


def _end_of(error: Exception) -> StreamEnd:
    """Return what an error says of a stream: errors of SMKEX are the client's side, others the target's."""
    match error:
        case NotAdmitted():
            return StreamEnd.NOT_ADMITTED
        case NoTarget():
            return StreamEnd.NO_TARGET
        case Overloaded():
            return StreamEnd.OVERLOADED
        case SmkexError():
            return StreamEnd.CLIENT_BROKE_OFF
        case TimeoutError():
            return StreamEnd.IDLE
        case _:
            return StreamEnd.TARGET_BROKE_OFF


def _abort_of(end: StreamEnd, error: Exception) -> SmkexError:
    """Return the error that the client receives."""
    match end:
        case StreamEnd.NOT_ADMITTED:
            return ServiceRefused(str(error))
        case StreamEnd.OVERLOADED:
            return Overloaded()
        case StreamEnd.NO_TARGET:
            return Cancelled("no target")
        case _:
            return Cancelled("the stream broke off")


def _log_end(record: StreamRecord) -> None:
    level = logging.WARNING if record.end in _TARGET_FAULTS else logging.INFO
    log.log(
        level,
        "stream ended early: service %s, target %s, for %s: %s: %s",
        record.service,
        record.target or "(none)",
        record.connection.client or "(unknown)",
        record.end.text,
        record.detail,
    )
