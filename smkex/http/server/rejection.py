"""A request that the HTTP server refuses by itself, as it is reported to what records requests."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RejectedRequest:
    """A request that the server answers itself with an error of `size` bytes; what was not read of it is empty.

    `scope` is that of the application where it has begun with the request.
    """

    status: int
    size: int
    method: bytes = b""
    target: bytes = b""
    scope: MutableMapping[str, Any] | None = None


# from what `open_connection` returned; returns lines for the head of the answer, each with its line end
RecordRejection = Callable[[Any, RejectedRequest], bytes]
