"""What the proxy asks of the origins of a service."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from edge.http.fields import Pairs
from edge.http.origin_response import OriginResponse
from edge.origins.shield.invalidations import Invalidation


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
        direct: bool = True,
    ) -> AbstractAsyncContextManager[OriginResponse]:
        """Send a request. Raises `OriginFailed` until the head arrives; afterwards `parts` may.

        `key` is the cache key. `passing` is the address of the client whose speed sets the duration, "" if unknown;
        None if the response is read at the edge's own speed. Unless `direct`, the edge that shields the key may be
        asked.
        """

    def is_direct(self, key: str) -> bool:
        """Whether a miss of `key` goes to an origin from here, and not to the edge that shields it."""

    async def invalidate(self, invalidation: Invalidation) -> None:
        """Tell the edges that shield the service, if any do, before what they have can come back from there."""

    async def close(self) -> None:
        """Close all connections and end all checks."""
