"""The newest forwarding table, and the requests that wait for a newer one."""

from typing import Annotated

from fastapi import Depends

from balancer.control.http.parts import provide_part
from balancer.control.table.changes import Change
from balancer.control.table.live import LiveTable
from balancer.control.waiters import Waiters
from balancer.model.table import ForwardingTable


class TableWatch:
    """The newest table and its waiters."""

    def __init__(self, live: LiveTable) -> None:
        self.live = live
        self._waiters = Waiters()

    @property
    def closed(self) -> bool:
        """Return whether the control plane stops."""
        return self._waiters.closed

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
        self._waiters.close()

    def wake(self) -> None:
        self._waiters.wake()

    async def wait_beyond(self, generation: int, seconds: float) -> None:
        """Wait until the table has another generation, at most `seconds`."""
        if self.generation == generation:
            await self._waiters.wait(seconds)


WatchPart = Annotated[TableWatch, Depends(provide_part(TableWatch))]
