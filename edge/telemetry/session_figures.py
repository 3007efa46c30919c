"""Sessions and failed handshakes, counted for the service that the client's server name belongs to."""

import time
from collections.abc import Callable
from typing import Final

from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.figures import DEFAULT_SERVICE, HANDSHAKE_REASONS, NO_SERVICE, Figures
from edge.telemetry.traces.span_export import SpanExport
from edge.telemetry.traces.span_records import EndedSession
from smkex.core.errors import AbortCode, PeerAborted, SmkexError
from smkex.transport.driver import SessionDriver

_AT_EITHER_END: Final[dict[int, str]] = {
    AbortCode.BINDING_MISMATCH: "mismatch",
    AbortCode.MAC_MISMATCH: "mismatch",
    AbortCode.FINISHED_MISMATCH: "mismatch",
    AbortCode.COMMITMENT_MISMATCH: "mismatch",
    AbortCode.BAD_SHARE: "mismatch",
    AbortCode.CERTIFICATE_REFUSED: "certificate",
    AbortCode.FLEET_KEY_CHANGED: "certificate",
    AbortCode.TLS_FAILED: "certificate",
}
_HERE: Final[dict[int, str]] = {
    AbortCode.OVERLOADED: "overloaded",
    AbortCode.TOO_MANY_CANDIDATES: "overloaded",
    AbortCode.DRAINING: "draining",
    AbortCode.DEADLINE_MISSED: "timeout",
    AbortCode.TRUNCATED: "connection-lost",
    AbortCode.UNSUPPORTED_VERSION: "unsupported",
    AbortCode.NO_COMMON_MODE: "unsupported",
    AbortCode.NO_COMMON_AEAD: "unsupported",
    AbortCode.NO_COMMON_GROUP: "unsupported",
    AbortCode.FELL_BACK_TO_TCP: "unsupported",
}


def failure_reason(error: Exception) -> str:
    """Return which of `HANDSHAKE_REASONS` an error is. What a client says of itself is not authenticated."""
    if isinstance(error, PeerAborted):
        return _AT_EITHER_END.get(error.peer_code, "client-aborted")
    if isinstance(error, SmkexError):
        return _AT_EITHER_END.get(error.code) or _HERE.get(error.code, "invalid")
    return "connection-lost" if isinstance(error, OSError) else "invalid"


class SessionFigures:
    """Counts for services; `service_of` returns the one that a server name belongs to, none where it has no name."""

    def __init__(
        self,
        figures: Figures,
        service_of: Callable[[str], str | None],
        traces: SpanExport | None = None,
        owner: int = 0,
    ) -> None:
        self._traces = traces
        self._owner = owner
        self._figures = figures
        self._service_of = service_of

    def begin_session(self, session: SessionDriver) -> None:
        """Count a session from now until it closes, for the service that its server name belongs to now."""
        figures = self._figures.of_service(self._name_of(session.established.server_name))
        closed = session.on_closed

        def end_session() -> None:
            figures.end_session()
            closed()

        figures.begin_session()
        session.on_closed = end_session
        if self._traces is not None and self._traces.is_chosen():
            self._trace_session(session, figures.name, self._traces)

    def _trace_session(self, session: SessionDriver, service: str, traces: SpanExport) -> None:
        started, closed = time.time(), session.on_closed
        connection = ConnectionFacts.of_transport(session, self._owner)
        server_name = session.established.server_name

        def export_span() -> None:
            traces.append(EndedSession(connection, service, server_name, started, time.time()))
            closed()

        session.on_closed = export_span

    def count_failure(self, error: Exception, server_name: str | None) -> None:
        """Count a failed handshake; without a server name that was read, for no service."""
        name = NO_SERVICE if server_name is None else self._name_of(server_name)
        failures = self._figures.of_service(name).handshake_failures
        failures[HANDSHAKE_REASONS.index(failure_reason(error))] += 1

    def _name_of(self, server_name: str) -> str:
        name = self._service_of(server_name)
        return NO_SERVICE if name is None else name or DEFAULT_SERVICE
