"""What an origin gives: a response as it arrives, or a failure."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from edge.http.fields import Pairs


class OriginFailed(Exception):
    """The origin gave no usable response; `status` and the text are sent to the client, `cause` is logged.

    `unsent`: nothing of the request was sent. `busy`: the edge's own limits, no fault of the origin.
    """

    def __init__(
        self, status: int, text: str, *, cause: str = "", unsent: bool = False, busy: bool = False
    ) -> None:
        super().__init__(text)
        self.status = status
        self.cause = cause or text
        self.unsent = unsent
        self.busy = busy
        self.origin = ""  # name of the origin asked last
        self.seconds = 0.0  # until it failed


@dataclass(slots=True)
class OriginResponse:
    """Head of the origin's response, and its body as it arrives; which origin it was, and the time until the head.

    `framing_in_doubt`: another recipient may find the end of the body elsewhere, so that it must not be stored.
    """

    status: int
    headers: Pairs
    parts: AsyncIterator[bytes]
    framing_in_doubt: bool = False
    origin: str = ""
    seconds: float = 0.0
