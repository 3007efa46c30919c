"""Structured log lines on standard error, and the readiness notification."""

import json
import logging
import sys
from datetime import UTC, datetime

from runtime.systemd import notify_systemd

_STANDARD_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message", "taskName"}


class LineFormatter(logging.Formatter):
    """Format one line a record: time, level, logger, message, then the `extra` fields as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
        fields = "".join(f" {key}={json.dumps(value, default=str)}" for key, value in extra.items())
        line = f"{time} {record.levelname.lower()} {record.name} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_to_stderr(level: str = "INFO") -> None:
    """Send the log to standard error, one structured line a record."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def report_ready() -> None:
    """Report that the daemon is ready: to systemd (sd_notify(3)) and on standard error."""
    notify_systemd("READY=1")
    print("ready", file=sys.stderr, flush=True)
