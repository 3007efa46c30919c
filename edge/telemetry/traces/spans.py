"""Spans of sessions, requests, cache and origins; attributes by the semantic conventions for HTTP.

Queries are left out: they may hold signatures. Only this module imports OpenTelemetry.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from edge.telemetry.access_log.fast_hit import FastHit
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.request_record import CLIENT_LEFT, RequestRecord
from edge.telemetry.trace_context import TraceContext
from edge.telemetry.traces.span_export import SpanExport
from edge.telemetry.traces.span_records import EndedSession, OriginAttempt, SpanRecord

EXPORT_TIMEOUT = 5.0  # seconds for one batch, retries included
_SCOPE = InstrumentationScope("sennit.edge")
_METHODS = frozenset(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"]
)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
Attributes = Mapping[str, str | int | bool]


def open_export(url: str, edge: str, version: str, sample: float) -> SpanExport:
    """Export to the collector whose OTLP/HTTP endpoint is at `url`, as instance `edge` of the service sennit-edge."""
    exporter = OTLPSpanExporter(endpoint=url, timeout=EXPORT_TIMEOUT)
    about = {"service.name": "sennit-edge", "service.version": version, "service.instance.id": edge}
    make = SpanMaker(Resource(about))

    def send_spans(records: Sequence[SpanRecord]) -> tuple[int, bool]:
        spans = [span for record in records for span in make.spans_of(record)]
        return len(spans), exporter.export(spans) is SpanExportResult.SUCCESS

    return SpanExport(send_spans, exporter.shutdown, sample=sample)


class SpanMaker:
    """Makes the spans of records."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def spans_of(self, record: SpanRecord) -> Iterator[ReadableSpan]:
        """Yield the spans of one record."""
        match record:
            case RequestRecord():
                yield from self._spans_of_request(record)
            case OriginAttempt():
                yield self._span_of_attempt(record)
            case EndedSession():
                yield self._span_of_session(record)
            case FastHit():
                yield self._span_of_hit(record)

    def _span_of_hit(self, hit: FastHit) -> ReadableSpan:
        asked, outcome, request_id = hit.asked, hit.outcome, hit.request_id.decode("ascii")
        context = _span_context(request_id, os.urandom(8).hex())
        attributes = {
            **_request_attributes(
                "GET", asked.target, asked.host, asked.user_agent, outcome.status, outcome.size
            ),
            **_connection_attributes(hit.connection),
            "sennit.service": asked.service,
            "sennit.revision": asked.revision,
            "sennit.request_id": request_id,
            "sennit.cache.status": "hit",
        }
        links = _links_of(hit.connection)
        return self._make_span("GET", context, None, SpanKind.SERVER, attributes, hit.at, 0.0, links=links)

    def _spans_of_request(self, record: RequestRecord) -> Iterator[ReadableSpan]:
        trace, connection = record.trace, record.connection
        context = _span_context(trace.trace_id, trace.span_id, trace.state)
        parent = _parent_of(trace)
        failed = record.status >= 500 or not record.complete
        attributes = {
            **_request_attributes(
                record.method,
                record.target,
                record.host,
                record.user_agent,
                0 if record.status == CLIENT_LEFT else record.status,
                record.bytes_out,
            ),
            **_connection_attributes(connection),
            "http.request.body.size": record.bytes_in,
            "sennit.service": record.service,
            "sennit.revision": record.revision,
            "sennit.request_id": record.request_id,
            "sennit.cache.status": record.cache_status or "none",
        }
        if failed:
            attributes["error.type"] = str(record.status) if record.status >= 500 else "incomplete"
        yield self._make_span(
            _name_of(record.method),
            context,
            parent,
            SpanKind.SERVER,
            attributes,
            record.started,
            record.duration_seconds,
            failed=failed,
            links=_links_of(connection),
        )
        if record.cache_status:
            looked_up = record.lookup_seconds or record.first_byte_seconds
            yield self._make_span(
                "cache",
                _span_context(trace.trace_id, os.urandom(8).hex()),
                context,
                SpanKind.INTERNAL,
                {"sennit.cache.status": record.cache_status, "sennit.cache.hit": record.is_hit},
                record.started,
                looked_up,
            )

    def _span_of_attempt(self, attempt: OriginAttempt) -> ReadableSpan:
        failed = bool(attempt.error) or attempt.status >= 400
        attributes: dict[str, str | int | bool] = {
            **_method_attributes(attempt.method),
            "url.full": attempt.url,
            "server.address": attempt.host,
            "server.port": attempt.port,
            "network.protocol.name": "http",
            "sennit.service": attempt.service,
            "sennit.shield": attempt.to_shield,
        }
        if attempt.number:
            attributes["http.request.resend_count"] = attempt.number
        if attempt.status:
            attributes["http.response.status_code"] = attempt.status
        if failed:
            attributes["error.type"] = attempt.error or str(attempt.status)
        return self._make_span(
            _name_of(attempt.method),
            _span_context(attempt.trace.trace_id, attempt.span_id, attempt.trace.state),
            _span_context(attempt.trace.trace_id, attempt.trace.span_id),
            SpanKind.CLIENT,
            attributes,
            attempt.started,
            attempt.seconds,
            failed=failed,
        )

    def _span_of_session(self, session: EndedSession) -> ReadableSpan:
        connection = session.connection
        attributes: dict[str, str | int | bool] = {
            **_connection_attributes(connection),
            "sennit.service": session.service,
            "sennit.paths": len(connection.observed),
        }
        if session.server_name:
            attributes["server.address"] = session.server_name
        for path, client, ingress in connection.path_facts():
            attributes[f"sennit.path.{path}.client"] = client
            attributes[f"sennit.path.{path}.ingress_edge"] = ingress
        return self._make_span(
            "session",
            _session_context(connection.session_id),
            None,
            SpanKind.SERVER,
            attributes,
            session.started,
            session.ended - session.started,
        )

    def _make_span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Attributes,
        started: float,
        seconds: float,
        *,
        failed: bool = False,
        links: Sequence[Link] = (),
    ) -> ReadableSpan:
        return ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            attributes,
            links=links,
            kind=kind,
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=int(started * 1e9),
            end_time=int((started + seconds) * 1e9),
            instrumentation_scope=_SCOPE,
        )


def _span_context(trace_id: str, span_id: str, state: str = "") -> SpanContext:
    kept = TraceState.from_header([state]) if state else None
    return SpanContext(int(trace_id, 16), int(span_id, 16), False, _SAMPLED, kept)


def _parent_of(trace: TraceContext) -> SpanContext | None:
    if not trace.parent_id:
        return None
    return SpanContext(int(trace.trace_id, 16), int(trace.parent_id, 16), True, _SAMPLED)


def _session_context(session_id: str) -> SpanContext:
    """A session is a trace of its own, whose ids are the session's."""
    return _span_context(session_id, session_id[:16])


def _links_of(connection: ConnectionFacts) -> list[Link]:
    """Link a request to the session that it came by: sessions have requests of many traces."""
    return [Link(_session_context(connection.session_id))] if connection.session_id else []


def _name_of(method: str) -> str:
    """Name a span by its method alone: a cache knows no routes, and paths are too many."""
    return method if method in _METHODS else "HTTP"


def _method_attributes(method: str) -> dict[str, str | int | bool]:
    if method in _METHODS:
        return {"http.request.method": method}
    return {"http.request.method": "_OTHER", "http.request.method_original": method}


def _request_attributes(
    method: str, target: str, host: str, user_agent: str, status: int, size: int
) -> dict[str, str | int | bool]:
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    found: dict[str, str | int | bool] = {
        **_method_attributes(method),
        "url.path": target.partition("?")[0],
        "url.scheme": "https",
        "server.address": name or port or host,
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "http.response.body.size": size,
    }
    if name and port.isdigit():
        found["server.port"] = int(port)
    if user_agent:
        found["user_agent.original"] = user_agent
    if status:
        found["http.response.status_code"] = status
    return found


def _connection_attributes(connection: ConnectionFacts) -> dict[str, str | int | bool]:
    found: dict[str, str | int | bool] = {
        "sennit.mode": connection.mode,
        "sennit.transport": connection.transport,
        "sennit.edge": connection.owner,
    }
    if connection.client:
        found["client.address"] = connection.client
        found["network.peer.address"] = connection.client
    if connection.client_port:
        found["client.port"] = connection.client_port
        found["network.peer.port"] = connection.client_port
    return found
