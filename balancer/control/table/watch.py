"""The newest forwarding table in memory, and those who wait for a newer one."""

import asyncio

from balancer.model.table import ForwardingTable


class TableWatch:
    """One value that only ever gets newer."""

    def __init__(self, current: ForwardingTable) -> None:
        self.current = current
        self._newer = asyncio.Event()
        self._closed = False

    def put(self, table: ForwardingTable) -> None:
        """Publish a table and wake everybody who waits."""
        self.current = table
        self._wake()

    def close(self) -> None:
        """Let everybody who waits go, now and from now on."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._newer.set()
        self._newer = asyncio.Event()

    async def wait_beyond(self, generation: int, seconds: float) -> ForwardingTable:
        """Wait until the table is another than the given generation, no longer than `seconds`."""
        if self.current.generation == generation and seconds > 0 and not self._closed:
            try:
                async with asyncio.timeout(seconds):
                    await self._newer.wait()
            except TimeoutError:
                pass
        return self.current
