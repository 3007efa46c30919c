"""Lines of the access log as JSON: the schema of docs/operate/access-log.md."""

import json
from datetime import UTC, datetime

from edge.telemetry.access_log.fast_hit import FastHit
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.request_record import RequestRecord

_quote = json.JSONEncoder(ensure_ascii=True).encode


class JsonLines:
    """Formats records. What repeats (the second, a connection, a request's head) is formatted once."""

    def __init__(self) -> None:
        self._second = -1
        self._second_text = ""

    def format_line(self, record: RequestRecord | FastHit) -> bytes:
        """Return one line with its line end."""
        return self._fast_line(record) if isinstance(record, tuple) else self._whole_line(record)

    def _fast_line(self, hit: FastHit) -> bytes:
        at, identity, connection, asked, status, size, ttl = hit
        request_id = identity.decode("ascii")
        if not asked.fragment:
            asked.fragment = _request_fragment(
                asked.method, asked.host, asked.target, asked.user_agent, asked.referer
            )
        return (
            f'{{"time":"{self._time_text(at)}","service":{_quote(asked.service)},"revision":{asked.revision},'
            f'"request_id":"{request_id}","trace_id":"{request_id}",{_connection_fragment(connection)},'
            f'{asked.fragment},"status":{status},"bytes_in":0,"bytes_out":{size},"hit":true,'
            f'"cache_status":"hit; ttl={ttl}","origin":null,"origin_status":null,"origin_seconds":null,'
            '"first_byte_seconds":0.0,"duration_seconds":0.0,"complete":true}\n'
        ).encode("ascii")

    def _whole_line(self, record: RequestRecord) -> bytes:
        request = _request_fragment(
            record.method, record.host, record.target, record.user_agent, record.referer
        )
        origin = '"origin":null,"origin_status":null,"origin_seconds":null'
        if record.origin:
            origin = (
                f'"origin":{_quote(record.origin)},"origin_status":{record.origin_status or "null"},'
                f'"origin_seconds":{record.origin_seconds:.6f}'
            )
        return (
            f'{{"time":"{self._time_text(record.started)}","service":{_quote(record.service)},'
            f'"revision":{record.revision},"request_id":"{record.request_id}",'
            f'"trace_id":"{record.trace.trace_id}",{_connection_fragment(record.connection)},{request},'
            f'"status":{record.status},"bytes_in":{record.bytes_in},"bytes_out":{record.bytes_out},'
            f'"hit":{"true" if record.is_hit else "false"},"cache_status":{_quote(record.cache_status)},{origin},'
            f'"first_byte_seconds":{record.first_byte_seconds:.6f},'
            f'"duration_seconds":{record.duration_seconds:.6f},'
            f'"complete":{"true" if record.complete else "false"}}}\n'
        ).encode("ascii")

    def _time_text(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_text}.{int((at - second) * 1e6):06d}Z"


def _request_fragment(method: str, host: str, target: str, user_agent: str, referer: str) -> str:
    url = f"https://{host}{target}" if host else target
    return (
        f'"method":{_quote(method)},"url":{_quote(url)},"user_agent":{_quote(user_agent)},'
        f'"referer":{_quote(referer)}'
    )


def _connection_fragment(connection: ConnectionFacts) -> str:
    """Return the connection's part of a line, made again when a path has come."""
    if connection.fragment_paths != len(connection.observed):
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
        connection.fragment = json.dumps(facts, separators=(",", ":"))[1:-1]
    return connection.fragment
