"""Events of sessions and their paths over time, in a file in the style of qlog (docs/client.md, "Events").

A JSON text sequence (RFC 7464): a header, then one object for each event.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger("smkex.client.recording.event_log")
_HEADER = {
    "qlog_format": "JSON-SEQ",
    "qlog_version": "0.3",
    "title": "sennit",
    "trace": {
        "vantage_point": {"type": "client"},
        "common_fields": {"time_format": "absolute", "protocol_type": ["sennit"]},
    },
}


class EventLog:
    """The file, created with mode 0600; several sessions may share it. `clock` gives unix time in seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Open it for appending. Raises OSError."""
        self.path = path
        self._clock = clock
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._descriptor).st_size == 0:
            self._write(_HEADER)

    def log_event(self, session: str, name: str, data: dict[str, Any]) -> None:
        """Append an event of the session with tag `session`. A full disk costs the event, not the session."""
        at = round(self._clock() * 1000, 3)
        self._write({"time": at, "name": f"sennit:{name}", "group_id": session, "data": data})

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, value: dict[str, Any]) -> None:
        try:
            os.write(self._descriptor, b"\x1e" + json.dumps(value, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            log.warning("event log %s: an event is lost: %s", self.path, error.strerror)
