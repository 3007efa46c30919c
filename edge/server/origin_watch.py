"""Look whether the origin answers, for this edge's health: what is cached is served without it, the rest is not."""

import asyncio

import httpx

from smkex.http.httpx_transport import PoolTransport
from smkex.http.pool import HttpPool

EVERY = 2.0  # seconds
TIMEOUT = 2.0
FAILED_AFTER = 2  # times in a row


class OriginWatch:
    """Any HTTP answer is a sign of life, whatever its status: what is at `/` is the origin's affair."""

    def __init__(self, upstream: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            base_url=upstream,
            timeout=TIMEOUT,
            trust_env=False,
            transport=transport or PoolTransport(HttpPool()),
        )
        self._failures = 0
        self._why = ""

    @property
    def reasons(self) -> list[str]:
        """What is wrong with the origin, for the edge's health."""
        return [f"origin: {self._why}"] if self._failures >= FAILED_AFTER else []

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(EVERY)
        finally:
            await self._client.aclose()

    async def look(self) -> None:
        """Ask once."""
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._client.head("/")
        except (httpx.HTTPError, TimeoutError) as error:
            self._failures += 1
            self._why = f"no answer ({type(error).__name__})"
        else:
            self._failures = 0
