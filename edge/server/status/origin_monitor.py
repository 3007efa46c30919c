"""Probe the origin for the edge's health: without it only cached responses are served."""

import asyncio

import httpx

from smkex.http.httpx_transport import PoolTransport
from smkex.http.pool import HttpPool

PROBE_INTERVAL = 2.0  # seconds
PROBE_TIMEOUT = 2.0
FAILURE_THRESHOLD = 2  # probes in a row


class OriginMonitor:
    """Probes the origin with HEAD /. Any HTTP status counts as an answer."""

    def __init__(self, upstream: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            base_url=upstream,
            timeout=PROBE_TIMEOUT,
            trust_env=False,
            transport=transport or PoolTransport(HttpPool()),
        )
        self._failures = 0
        self._error = ""

    @property
    def reasons(self) -> list[str]:
        """Reasons for a degraded health."""
        return [f"origin: {self._error}"] if self._failures >= FAILURE_THRESHOLD else []

    async def run(self) -> None:
        """Probe until cancelled."""
        try:
            while True:
                await self.probe_origin()
                await asyncio.sleep(PROBE_INTERVAL)
        finally:
            await self._client.aclose()

    async def probe_origin(self) -> None:
        """Probe once."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                await self._client.head("/")
        except (httpx.HTTPError, TimeoutError) as error:
            self._failures += 1
            self._error = f"no answer ({type(error).__name__})"
        else:
            self._failures = 0
