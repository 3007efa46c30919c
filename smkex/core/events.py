"""What a session tells the one that drives it."""

from dataclasses import dataclass, field

from smkex.core.errors import SmkexError


@dataclass(frozen=True, slots=True)
class DataReceived:
    """The next bytes of the peer's stream, in order."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer's stream is complete: its final DSN is authenticated and reached."""


@dataclass(frozen=True, slots=True)
class PathDropped:
    """A path is out of the session; what it carried goes over the others. The driver closes its subflow.

    `removed` when one of the ends wanted it so. `last_word` may still go out on it, before it is closed: what this end
    has received, so that the other sends nothing again without need.
    """

    path: int
    error: SmkexError | None
    removed: bool = False
    last_word: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class RehomeAsked:
    """The edge asks the client to leave the service port for the edge's locator."""


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """Both streams are complete and acknowledged: the driver may close all subflows."""


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """The session is over before its streams were complete."""

    error: SmkexError


Event = DataReceived | StreamEnded | PathDropped | RehomeAsked | SessionClosed | SessionFailed
