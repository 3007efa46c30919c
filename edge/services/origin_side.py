"""What the proxy asks of the origins of a service."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from edge.http.fields import Pairs
from edge.http.origin_response import OriginResponse


class OriginSide(Protocol):
    """The origins of one service."""

    def request(
        self,
        method: str,
        target: bytes,
        headers: Pairs,
        body: AsyncIterator[bytes] | None = None,
        *,
        key: str = "",
        passing: str | None = None,
    ) -> AbstractAsyncContextManager[OriginResponse]:
        """Send a request. Raises `OriginFailed` until the head arrives; afterwards `parts` may.

        `key` is the cache key. `passing` is the address of the client whose speed sets the duration, "" if unknown;
        None if the response is read at the edge's own speed.
        """

    async def close(self) -> None:
        """Close all connections and end all checks."""
