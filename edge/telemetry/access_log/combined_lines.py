"""Lines of the access log in the combined format of Apache and nginx."""

from datetime import UTC, datetime

from edge.telemetry.access_log.fast_hit import FastHit
from edge.telemetry.access_log.line_format import LineFormat
from edge.telemetry.request_record import RequestRecord
from edge.telemetry.stream_record import StreamRecord

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class CombinedLines(LineFormat):
    """Formats records: `client - - [time] "request" status bytes "referer" "user agent"`."""

    def add_hit(self, parts: list[bytes], hit: FastHit) -> None:
        asked = hit.asked
        parts.append(
            _format_fields(
                hit.connection.client,
                hit.at,
                asked.method,
                asked.target,
                hit.outcome.status,
                hit.outcome.size,
                asked.referer,
                asked.user_agent,
            )
        )

    def format_record(self, record: RequestRecord | StreamRecord) -> bytes:
        if isinstance(record, StreamRecord):
            return _format_fields(
                record.connection.client,
                record.started,
                "TCP",
                record.server_name,
                record.end.status,
                record.bytes_out,
                "",
                "",
            )
        return _format_fields(
            record.connection.client,
            record.started,
            record.method,
            record.target,
            record.status,
            record.bytes_out,
            record.referer,
            record.user_agent,
        )


def _format_fields(
    client: str, at: float, method: str, target: str, status: int, size: int, referer: str, agent: str
) -> bytes:
    moment = datetime.fromtimestamp(int(at), UTC)
    stamp = f"{moment.day:02d}/{_MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S} +0000"
    request = f"{method} {target} HTTP/1.1" if method else ""
    return (
        f'{client or "-"} - - [{stamp}] "{_escape_text(request)}" {status} {size} '
        f'"{_escape_text(referer)}" "{_escape_text(agent)}"\n'
    ).encode("ascii")


def _escape_text(text: str) -> str:
    """Escape what could end a field or a line, and what is not ASCII, as \\xHH; an empty text is a dash."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text or "-"
    return "".join(
        char if " " <= char <= "~" and char not in '"\\' else f"\\x{ord(char):02X}" for char in text
    )
