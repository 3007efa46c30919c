"""Record what happens to one connection and its paths in an event log.

Paths are sampled, so that recording costs the same whatever a session carries; what lasts less than an interval may be
missed.
"""

import asyncio
from typing import Any

from smkex.client.connection import Connection
from smkex.client.recording.event_log import EventLog
from smkex.client.report import PathReport
from smkex.core.events import StepCompleted
from smkex.transport.driver import ACTIVE_ON_ONE, PASSIVE

SAMPLE_INTERVAL = 0.05  # seconds


class SessionRecorder:
    """Records one connection until it is closed."""

    def __init__(self, connection: Connection, log: EventLog) -> None:
        self._connection, self._log = connection, log
        self._tag = connection.exporter.tag.hex()
        self._paths: dict[int, PathReport] = {}

    def start(self) -> None:
        """Record the beginning, and sample from now on."""
        report = self._connection.report()
        facts = ("vip", "transport", "mode", "kex", "aead", "owner_id", "downgrades", "notes")
        begun = {fact: getattr(report, fact) for fact in facts}
        self._log.log_event(
            self._tag, "session_established", {**begun, "setup_ms": _to_milliseconds(report.setup)}
        )
        self._sample()
        self._connection.session.on_step_completed = self._record_step
        sampling = asyncio.get_running_loop().create_task(self._sample_often())
        self._connection.when_closed(lambda: self._finish(sampling))

    def _record_step(self, event: StepCompleted) -> None:
        against = ACTIVE_ON_ONE if event.active_on_one else PASSIVE
        self._log.log_event(self._tag, "step", {"step": event.step, "against": against})

    def _finish(self, sampling: asyncio.Task[None]) -> None:
        sampling.cancel()
        self._sample()
        error = self._connection.session.error
        reason = {"error": type(error).__name__, "text": str(error)} if error is not None else {}
        self._log.log_event(self._tag, "session_closed", reason)

    async def _sample_often(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_INTERVAL)
            self._sample()

    def _sample(self) -> None:
        """Write what has changed of each path since the last sample."""
        for path in self._connection.report().paths:
            before = self._paths.get(path.path)
            self._paths[path.path] = path
            if before is None:
                self._log.log_event(self._tag, "path_added", _describe_path(path))
            elif before.state != path.state:
                change = {"path": path.path, "old": before.state, "new": path.state}
                self._log.log_event(self._tag, "path_state_updated", change)
            if before is None or _metrics_of(before) != _metrics_of(path):
                self._log.log_event(self._tag, "path_metrics_updated", _metrics_of(path))


def _describe_path(path: PathReport) -> dict[str, Any]:
    facts = ("path", "interface", "address", "observed", "ingress_id", "state")
    return {fact: getattr(path, fact) for fact in facts}


def _metrics_of(path: PathReport) -> dict[str, Any]:
    rtt = {"smoothed_rtt_ms": _to_milliseconds(path.rtt)} if path.rtt is not None else {}
    return {
        "path": path.path,
        **rtt,
        "bytes_sent": path.bytes_sent,
        "bytes_received": path.bytes_received,
    }


def _to_milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
