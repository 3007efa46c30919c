"""One worker's telemetry: request ids, figures, and the access log where there is one."""

import asyncio
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from edge.telemetry.access_log.access_log import AccessLog
from edge.telemetry.access_log.fast_hit import FastHit, FastRequest, HitOutcome
from edge.telemetry.connection_facts import ConnectionFacts, facts_of
from edge.telemetry.figures import DEFAULT_SERVICE, NO_SERVICE, Figures
from edge.telemetry.request_ids import RequestIds
from edge.telemetry.request_record import (
    CLIENT_LEFT,
    REQUEST_ID_FIELD,
    REQUEST_RECORD,
    RequestRecord,
    current_record,
)
from edge.telemetry.stream_record import StreamRecord
from edge.telemetry.trace_context import SAMPLED, TRACEPARENT, TRACESTATE, continue_trace
from edge.telemetry.traces.span_export import SpanExport
from smkex.http.server.rejection import RejectedRequest

_FIELDS = ("host", "user-agent", "referer", TRACEPARENT, TRACESTATE)


class Telemetry:
    """Records the requests of one worker. `owner` is this edge's id."""

    def __init__(
        self, owner: int = 0, log: AccessLog | None = None, traces: SpanExport | None = None
    ) -> None:
        self.owner = owner
        self.log = log
        self.traces = traces
        self.ids = RequestIds()
        self.figures = Figures(log.sample if log is not None else 1.0)
        self._running: set[RequestRecord | StreamRecord] = set()

    def record_rejection(self, connection: object, rejected: RejectedRequest) -> bytes:
        """Record a request that the HTTP server refuses, in the application's record where it has begun one.

        Return the line of the request's id for the head of the answer.
        """
        extensions = rejected.scope["extensions"] if rejected.scope is not None else {}
        record = extensions.get(REQUEST_RECORD)
        if record is None:
            facts = facts_of(connection)
            record = self.begin_request(facts, rejected.method.decode("latin-1"), rejected.target, ())
        record.status, record.bytes_out, record.complete = rejected.status, rejected.size, True
        if rejected.scope is None:
            self.finish_request(record)
        else:
            extensions[REQUEST_RECORD] = record  # the application's task finishes it
        return f"{REQUEST_ID_FIELD}: {record.request_id}\r\n".encode("ascii")

    # --- the application's requests

    def begin_request(
        self,
        connection: ConnectionFacts,
        method: str,
        target: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        request_id: str = "",
    ) -> RequestRecord:
        """Begin the record of a request; `headers` as in an ASGI scope. `request_id` is that of another edge."""
        request_id = request_id or self.ids.next_id().decode("ascii")
        fields = _read_fields(headers)
        trace = continue_trace(fields[TRACEPARENT], fields[TRACESTATE], request_id)
        traces = self.traces
        if traces is not None and not trace.parent_id and traces.is_chosen():
            trace = replace(trace, flags=SAMPLED)
        record = RequestRecord(
            connection,
            request_id,
            trace,
            self.figures.of_service(NO_SERVICE),
            method,
            host=_first_of(fields["host"]),
            target=target.decode("latin-1"),
            user_agent=_first_of(fields["user-agent"]),
            referer=_first_of(fields["referer"]),
            traces=traces if trace.is_sampled else None,
        )
        self._running.add(record)
        return record

    def assign_service(self, name: str, revision: int) -> None:
        """Count the request of this task for a service."""
        record = current_record.get()
        if record is not None:
            record.figures, record.revision = self.figures.of_service(name or DEFAULT_SERVICE), revision

    def set_log_shares(self, shares: Mapping[str, float]) -> None:
        """Log these shares of the requests of these services, and all of the others."""
        self.figures.set_log_shares(shares)

    def begin_stream(
        self, connection: ConnectionFacts, session_id: bytes, service: str, revision: int, server_name: str
    ) -> StreamRecord:
        """Begin the record of a stream of a service of kind tcp."""
        figures = self.figures.of_service(service)
        record = StreamRecord(connection, session_id.hex(), figures, revision, server_name)
        self._running.add(record)
        figures.open_streams += 1
        return record

    def finish_stream(self, record: StreamRecord) -> None:
        """Count a stream and log it, once."""
        if record not in self._running:
            return
        self._running.discard(record)
        record.figures.open_streams -= 1
        record.note_end()
        record.count_figures()
        self._log_record(record)

    def _log_record(self, record: RequestRecord | StreamRecord) -> None:
        share = record.figures.log_share
        if self.log is not None and (share >= 1.0 or record.is_error or random.random() < share):  # noqa: S311
            self.log.append(record)

    def finish_request(self, record: RequestRecord) -> None:
        """Count a request and log it, once."""
        if record not in self._running:
            return
        self._running.discard(record)
        record.note_end()
        if not record.status:
            record.status = CLIENT_LEFT
        record.count_figures()
        self._log_record(record)
        if record.traces is not None:
            record.traces.append(record)

    # --- the fast path's

    def fast_request(self, fields: dict[str, str], target: bytes, service: str, revision: int) -> FastRequest:
        """Return what the fast path keeps of a head to record each answer to it."""
        return FastRequest(
            fields.get("host", ""),
            target.decode("latin-1"),
            fields.get("user-agent", ""),
            fields.get("referer", ""),
            self.figures.of_service(service or DEFAULT_SERVICE),
            revision,
        )

    def record_hit(
        self,
        at: float,
        request_id: bytes,
        connection: ConnectionFacts,
        asked: FastRequest,
        outcome: HitOutcome,
    ) -> None:
        """Count and log an answer of the fast path."""
        figures = asked.figures
        figures.count_hit(outcome.status, outcome.size)
        share = figures.log_share
        if self.log is not None and (share >= 1.0 or random.random() < share):  # noqa: S311 (not a secret)
            self.log.append_hit(at, request_id, connection, asked, outcome)
        traces = self.traces
        if traces is not None and traces.is_chosen():
            traces.append(FastHit(at, request_id, connection, asked, outcome))

    def facts(self) -> dict[str, Any]:
        """Return what the health endpoint and the metrics publish."""
        facts: dict[str, Any] = {
            "figures": self.figures.as_counts(),
            "open_sessions": self.figures.open_sessions(),
            "open_streams": self.figures.open_streams(),
            "exemplars": self.figures.exemplars(),
        }
        if self.traces is not None:
            facts["traces"] = self.traces.counts()
        if self.log is not None:
            facts["access_log"] = self.log.counts()
        return facts

    def reopen_log(self) -> None:
        if self.log is not None:
            self.log.reopen()

    async def close(self) -> None:
        """Record what still runs as incomplete, and write what waits."""
        for record in list(self._running):
            if isinstance(record, StreamRecord):
                self.finish_stream(record)
            else:
                self.finish_request(record)
        if self.log is not None:
            await self.log.close()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)


def _read_fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in _FIELDS}
    for name, value in headers:
        text = name.decode("latin-1")
        if text in found:
            found[text].append(value.decode("latin-1").strip(" \t"))
    return found


def _first_of(values: list[str]) -> str:
    return values[0] if values else ""
