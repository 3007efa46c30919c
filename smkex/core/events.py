"""Events that a session reports to its driver."""

from dataclasses import dataclass, field

from smkex.core.errors import SmkexError


class DataReceived:
    """The next bytes of the peer's stream, in order. Plain, as there is one for each record."""

    __slots__ = ("data",)
    __match_args__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataReceived) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"DataReceived({len(self.data)} bytes)"


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer's stream is complete: its final DSN is authenticated and reached."""


@dataclass(frozen=True, slots=True)
class PathDropped:
    """A path has left the session; its unacknowledged data goes over the others. The driver closes its subflow.

    `removed` when one end removed it on purpose. `last_word` is a last acknowledgement to send before closing, so that
    the other end retransmits nothing needlessly.
    """

    path: int
    error: SmkexError | None
    removed: bool = False
    last_word: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class RehomeRequested:
    """The edge asks the client to leave the service port for the edge's locator."""


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """Both ends hold the keys of key step `step`: who knew the state before it is out.

    `active_on_one` when that includes an attacker who is active on one path; otherwise only one who listens.
    """

    step: int
    active_on_one: bool


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """Both streams are complete and acknowledged: the driver may close all subflows."""


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """The session is over before its streams were complete."""

    error: SmkexError


SessionEvent = (
    DataReceived | StreamEnded | PathDropped | RehomeRequested | StepCompleted | SessionClosed | SessionFailed
)
