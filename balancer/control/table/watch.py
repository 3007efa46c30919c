"""The newest forwarding table, and those who wait for a newer one."""

import asyncio

from balancer.control.table.changes import Change
from balancer.control.table.live import LiveTable
from balancer.model.table import ForwardingTable


class TableWatch:
    """One value that only ever gets newer."""

    def __init__(self, live: LiveTable) -> None:
        self.live = live
        self._newer = asyncio.Event()
        self.closed = False

    @property
    def generation(self) -> int:
        return self.live.generation

    @property
    def current(self) -> ForwardingTable:
        """The whole table."""
        return self.live.table()

    def advance(self, generation: int, changes: list[Change]) -> None:
        """Publish the next generation and wake everybody who waits."""
        self.live.advance(generation, changes)
        self.wake()

    def close(self) -> None:
        """Let everybody who waits go, now and from now on."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        self._newer.set()
        self._newer = asyncio.Event()

    async def wait_beyond(self, generation: int, seconds: float) -> None:
        """Wait until the table is another than the given generation, no longer than `seconds`."""
        if self.generation == generation and seconds > 0 and not self.closed:
            try:
                async with asyncio.timeout(seconds):
                    await self._newer.wait()
            except TimeoutError:
                pass
