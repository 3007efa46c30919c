"""The newest forwarding table, and the requests that wait for a newer one."""

import asyncio
from typing import Annotated

from fastapi import Depends

from balancer.control.http.parts import provide_part
from balancer.control.table.changes import Change
from balancer.control.table.live import LiveTable
from balancer.model.table import ForwardingTable


class TableWatch:
    """The newest table and its waiters."""

    def __init__(self, live: LiveTable) -> None:
        self.live = live
        self._newer = asyncio.Event()
        self.closed = False

    @property
    def generation(self) -> int:
        return self.live.generation

    @property
    def current(self) -> ForwardingTable:
        """Return the whole table."""
        return self.live.table()

    def advance(self, generation: int, changes: list[Change]) -> None:
        """Publish the next generation and wake all waiters."""
        self.live.advance(generation, changes)
        self.wake()

    def close(self) -> None:
        """Wake all waiters, and let later ones return at once."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        self._newer.set()
        self._newer = asyncio.Event()

    async def wait_beyond(self, generation: int, seconds: float) -> None:
        """Wait until the table has another generation, at most `seconds`."""
        if self.generation == generation and seconds > 0 and not self.closed:
            try:
                async with asyncio.timeout(seconds):
                    await self._newer.wait()
            except TimeoutError:
                pass


WatchPart = Annotated[TableWatch, Depends(provide_part(TableWatch))]
