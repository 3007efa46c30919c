"""The record of one stream of a service of kind tcp: what its line and the figures are made of."""

import time
from dataclasses import dataclass, field
from enum import Enum

from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.figures import ServiceFigures


class StreamEnd(Enum):
    """Why a stream ended, and the status that counts for it, as nginx has it for streams."""

    WHOLE = "whole", 200
    NOT_ADMITTED = "not-admitted", 403
    IDLE = "idle", 408
    CLIENT_BROKE_OFF = "client-broke-off", 499
    NO_TARGET = "no-target", 502
    TARGET_BROKE_OFF = "target-broke-off", 502
    OVERLOADED = "overloaded", 503
    EDGE_STOPPED = "edge-stopped", 503

    def __init__(self, text: str, status: int) -> None:
        self.text = text
        self.status = status


@dataclass(slots=True, eq=False)
class StreamRecord:
    """One stream. Times in seconds: `started` since the epoch, `began` of the monotonic clock."""

    connection: ConnectionFacts
    request_id: str  # of the session, which the target gets in the PROXY protocol
    figures: ServiceFigures
    revision: int
    server_name: str
    target: str = ""
    target_seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    end: StreamEnd = StreamEnd.EDGE_STOPPED
    detail: str = ""  # the error's text
    duration_seconds: float = 0.0
    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)

    @property
    def service(self) -> str:
        return self.figures.name

    @property
    def is_error(self) -> bool:
        """Whether sampling leaves it in the log."""
        return self.end is not StreamEnd.WHOLE

    def note_end(self) -> None:
        self.duration_seconds = time.monotonic() - self.began

    def count_figures(self) -> None:
        """Add this stream to the figures of its service; its bytes were added as they went."""
        figures = self.figures
        figures.requests += 1
        figures.incomplete += self.is_error
        class_of = 0 if self.end is StreamEnd.CLIENT_BROKE_OFF else self.end.status // 100
        figures.statuses[class_of] += 1
        figures.stream_ends[self.end.text] = figures.stream_ends.get(self.end.text, 0) + 1
