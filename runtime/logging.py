"""What the daemons share: lines to standard error, and saying that they are up."""

import json
import logging
import sys
from datetime import UTC, datetime

from runtime.systemd import notify

_USUAL = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message", "taskName"}


class LineFormatter(logging.Formatter):
    """One line a record: time, level, logger, message, then the `extra` fields as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        extra = {key: value for key, value in vars(record).items() if key not in _USUAL}
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


def say_ready() -> None:
    """Say that the daemon is up: to systemd where it asked (sd_notify(3)), and on standard error."""
    notify("READY=1")
    print("ready", file=sys.stderr, flush=True)
