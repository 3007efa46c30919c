"""Open the access log that the settings ask for."""

from pathlib import Path

from edge.config.settings import EdgeSettings
from edge.telemetry.access_log.access_log import AccessLog
from edge.telemetry.access_log.combined_lines import CombinedLines
from edge.telemetry.access_log.file_sink import FileSink
from edge.telemetry.access_log.json_lines import JsonLines
from edge.telemetry.access_log.line_format import LineFormat
from edge.telemetry.access_log.socket_sink import JOURNAL_SOCKET, SocketSink, journal_entry
from edge.telemetry.access_log.writer import LineSink, LogWriter


def open_access_log(settings: EdgeSettings) -> AccessLog | None:
    """Return the log, or None where there is none. Raises OSError for a file that cannot be opened."""
    if settings.access_log is None:
        return None
    lines: LineFormat = CombinedLines() if settings.access_log_format == "combined" else JsonLines()
    return AccessLog(lines, LogWriter(_open_sink(settings.access_log)), settings.access_log_sample)


def _open_sink(target: str) -> LineSink:
    kind, _, path = target.partition(":")
    if kind == "file":
        return FileSink(Path(path))
    return SocketSink(path) if kind == "unix" else SocketSink(JOURNAL_SOCKET, journal_entry)
