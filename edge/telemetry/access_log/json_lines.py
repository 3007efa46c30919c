"""Lines of the access log as JSON: the schema of docs/operate/access-log.md."""

import json
from datetime import UTC, datetime
from typing import Final

from edge.telemetry.access_log.fast_hit import FastHit, FastRequest, HitOutcome
from edge.telemetry.access_log.line_format import LineFormat
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.request_record import RequestRecord
from edge.telemetry.stream_record import StreamRecord

_quote = json.JSONEncoder(ensure_ascii=True).encode
_BETWEEN_IDS: Final = b'","trace_id":"'


class JsonLines(LineFormat):
    """Formats records. What repeats (a millisecond, a connection, a request's head, an outcome) is formatted once."""

    def __init__(self) -> None:
        self._second = -1
        self._second_text = ""
        self._millisecond = -1
        self._opening = b""  # of the lines of that millisecond

    def format_record(self, record: RequestRecord | StreamRecord) -> bytes:
        if record.connection.fragment_paths != len(record.connection.observed):
            _format_connection(record.connection)
        return self._stream_line(record) if isinstance(record, StreamRecord) else self._whole_line(record)

    def _stream_line(self, record: StreamRecord) -> bytes:
        seconds = f"{record.target_seconds:.6f}" if record.target else "null"
        return (
            f'{{"time":"{self._time_text(record.started)}","service":{_quote(record.service)},'
            f'"revision":{record.revision},"request_id":"{record.request_id}'
            f'{record.connection.fragment.decode("ascii")}"server_name":{_quote(record.server_name)},'
            f'"target":{_quote(record.target or None)},"target_seconds":{seconds},"status":{record.end.status},'
            f'"bytes_in":{record.bytes_in},"bytes_out":{record.bytes_out},'
            f'"duration_seconds":{record.duration_seconds:.6f},"end":"{record.end.text}",'
            f'"detail":{_quote(record.detail)}}}\n'
        ).encode("ascii")

    def add_hit(self, parts: list[bytes], hit: FastHit) -> None:
        connection, asked, outcome = hit.connection, hit.asked, hit.outcome
        millisecond = int(hit.at * 1e3)
        if millisecond != self._millisecond:
            self._set_millisecond(millisecond)
        if not asked.opening:
            _format_request(asked)
        if connection.fragment_paths != len(connection.observed):
            _format_connection(connection)
        if not outcome.fragment:
            _format_outcome(outcome)
        parts.append(self._opening)
        parts.append(asked.opening)
        parts.append(hit.request_id)
        parts.append(_BETWEEN_IDS)
        parts.append(hit.request_id)
        parts.append(connection.fragment)
        parts.append(asked.fragment)
        parts.append(outcome.fragment)

    def _whole_line(self, record: RequestRecord) -> bytes:
        request = _request_fragment(
            record.method, record.host, record.target, record.user_agent, record.referer
        )
        connection = record.connection.fragment.decode("ascii")
        origin = '"origin":null,"origin_status":null,"origin_seconds":null'
        if record.origin:
            origin = (
                f'"origin":{_quote(record.origin)},"origin_status":{record.origin_status or "null"},'
                f'"origin_seconds":{record.origin_seconds:.6f}'
            )
        return (
            f'{{"time":"{self._time_text(record.started)}","service":{_quote(record.service)},'
            f'"revision":{record.revision},"request_id":"{record.request_id}",'
            f'"trace_id":"{record.trace.trace_id}{connection}{request},'
            f'"status":{record.status},"bytes_in":{record.bytes_in},"bytes_out":{record.bytes_out},'
            f'"hit":{"true" if record.is_hit else "false"},"cache_status":{_quote(record.cache_status)},{origin},'
            f'"first_byte_seconds":{record.first_byte_seconds:.6f},'
            f'"duration_seconds":{record.duration_seconds:.6f},'
            f'"complete":{"true" if record.complete else "false"},"via":{_quote(record.via or None)}}}\n'
        ).encode("ascii")

    def _time_text(self, at: float) -> str:
        second, thousandths = divmod(int(at * 1e3), 1000)
        if second != self._second:
            self._set_second(second)
        return f"{self._second_text}.{thousandths:03d}Z"

    def _set_second(self, second: int) -> None:
        self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._second = second

    def _set_millisecond(self, millisecond: int) -> None:
        second, thousandths = divmod(millisecond, 1000)
        if second != self._second:
            self._set_second(second)
        self._opening = f'{{"time":"{self._second_text}.{thousandths:03d}Z"'.encode("ascii")
        self._millisecond = millisecond


def _format_request(asked: FastRequest) -> None:
    """Format what lines have of a request's head."""
    asked.opening = (f',"service":{_quote(asked.service)},"revision":{asked.revision},"request_id":"').encode(
        "ascii"
    )
    asked.fragment = _request_fragment(
        asked.method, asked.host, asked.target, asked.user_agent, asked.referer
    ).encode("ascii")


def _format_outcome(outcome: HitOutcome) -> None:
    outcome.fragment = (
        f',"status":{outcome.status},"bytes_in":0,"bytes_out":{outcome.size},"hit":true,'
        f'"cache_status":"hit; ttl={outcome.ttl}","origin":null,"origin_status":null,"origin_seconds":null,'
        '"first_byte_seconds":0.0,"duration_seconds":0.0,"complete":true,"via":null}\n'
    ).encode("ascii")


def _request_fragment(method: str, host: str, target: str, user_agent: str, referer: str) -> str:
    url = f"https://{host}{target}" if host else target
    return (
        f'"method":{_quote(method)},"url":{_quote(url)},"user_agent":{_quote(user_agent)},'
        f'"referer":{_quote(referer)}'
    )


def _format_connection(connection: ConnectionFacts) -> None:
    """Format what lines have of a connection, made again when a path has come: it ends the trace id before it."""
    connection.fragment_paths = len(connection.observed)
    paths = [
        {"path": path, "client": client, "ingress": ingress}
        for path, client, ingress in connection.path_facts()
    ]
    facts = {
        "client": connection.client,
        "mode": connection.mode,
        "transport": connection.transport,
        "owner": connection.owner,
        "paths": paths,
    }
    connection.fragment = f'",{json.dumps(facts, separators=(",", ":"))[1:-1]},'.encode("ascii")
