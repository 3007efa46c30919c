"""What an origin gives: a response as it arrives, or a failure."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from edge.http.fields import Pairs


class OriginFailed(Exception):
    """The origin gave no usable response; `status` is sent to the client."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class OriginResponse:
    """Head of the origin's response, and its body as it arrives."""

    status: int
    headers: Pairs
    parts: AsyncIterator[bytes]
