"""What an unsafe request invalidates, which the edges that shield its service receive before its client is answered.

While one of them has not acknowledged, it is not asked: its copy may be the one from before.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.http.origin_response import OriginFailed
from edge.origins.origin_client import OriginClient
from node.fields import read_sequence, read_text, require_mapping
from node.state.strict_json import parse_strictly

log = logging.getLogger("edge.origins.shield")

SHIELD_INVALIDATE_FIELD = "sennit-shield-invalidate"  # of the POST that has an `Invalidation`
TIMEOUT = 1.0  # seconds that the client of the unsafe request waits for
RETRY_SECONDS = 1.0
BODY_LIMIT = 1 << 20
OWED_LIMIT = 1000  # invalidations kept for an edge that does not answer; the oldest are lost beyond


@dataclass(frozen=True, slots=True)
class Invalidation:
    """Keys of URLs, and groups of RFC 9875 with the key of a URL of their host; as `ResponseStore.invalidate`."""

    urls: tuple[str, ...]
    groups: tuple[str, ...] = ()
    host_key: str = ""

    def encode(self) -> bytes:
        return json.dumps({"urls": self.urls, "groups": self.groups, "host_key": self.host_key}).encode()

    @classmethod
    def parse(cls, body: bytes) -> "Invalidation":
        """Raises `ValueError`."""
        try:
            fields = require_mapping(parse_strictly(body.decode()), "invalidation")
        except RecursionError:
            raise ValueError("nested too deeply") from None
        groups = _read_keys(fields, "groups")
        return cls(_read_keys(fields, "urls"), groups, read_text(fields, "host_key") if groups else "")


InvalidateShield = Callable[[Invalidation], Awaitable[None]]


def _read_keys(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    keys = tuple(read_sequence(fields, name))
    if not all(isinstance(key, str) for key in keys):
        raise ValueError(f"{name}: not a list of texts")
    return keys


class PeerInvalidations:
    """The invalidations of one peer, in their order. `name` is the peer's, for the log."""

    def __init__(self, client: OriginClient, name: str) -> None:
        self._client = client
        self._name = name
        self._owed: deque[Invalidation] = deque(maxlen=OWED_LIMIT)
        self._sending = asyncio.Lock()
        self._repeating: asyncio.Task[None] | None = None

    @property
    def behind(self) -> bool:
        """Whether the peer may have a copy that was invalidated here."""
        return bool(self._owed)

    async def send(self, invalidation: Invalidation) -> None:
        """Send it to the peer; where that does not answer in time, again in the background."""
        self._owed.append(invalidation)
        if self._repeating is not None:
            return
        failure = await self._send_owed()
        if failure and self._repeating is None:
            log.warning("shield %s is not asked until it takes an invalidation: %s", self._name, failure)
            self._repeating = asyncio.get_running_loop().create_task(self._repeat())

    async def close(self) -> None:
        """Forget what is owed."""
        if self._repeating is not None:
            self._repeating.cancel()
            await asyncio.gather(self._repeating, return_exceptions=True)

    async def _repeat(self) -> None:
        try:
            while True:
                await asyncio.sleep(RETRY_SECONDS)
                if not await self._send_owed():
                    return
        finally:
            self._repeating = None

    async def _send_owed(self) -> str:
        """Send what is owed, oldest first; return why the peer did not take one within TIMEOUT, or nothing."""
        try:
            async with self._sending:
                while self._owed:
                    sent = self._owed[0]
                    async with asyncio.timeout(TIMEOUT):
                        await self._send(sent)
                    if self._owed and self._owed[0] is sent:  # else it was lost meanwhile, for want of room
                        self._owed.popleft()
        except OriginFailed as error:
            return error.cause
        except TimeoutError:
            return f"no answer within {TIMEOUT:g} s"
        return ""

    async def _send(self, invalidation: Invalidation) -> None:
        """Raises `OriginFailed`."""
        body = invalidation.encode()
        fields = [("host", "shield"), (SHIELD_INVALIDATE_FIELD, "?1"), ("content-length", str(len(body)))]
        async with self._client.request("POST", b"/", fields, _one_part(body)) as answer:
            async for _ in answer.parts:
                pass
        if answer.status != 204:
            raise OriginFailed(502, f"the shield answered by {answer.status}")


async def _one_part(body: bytes) -> AsyncIterator[bytes]:
    yield body
