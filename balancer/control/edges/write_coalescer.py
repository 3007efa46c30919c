"""Store which edges came up and went down, all waiting ones in one change: a starting fleet takes a few writes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping


class WriteCoalescer:
    """Combines the writes of all waiters: the first to get the lock writes for all."""

    def __init__(self, store: Callable[[Mapping[int, str]], Awaitable[None]]) -> None:
        self._store = store
        self._waiting: dict[int, str] = {}
        self._turn = asyncio.Lock()

    async def write(self, why: Mapping[int, str]) -> None:
        """Return when the liveness of these edges is stored; `why` is edge id -> reason."""
        self._waiting |= why
        async with self._turn:
            if not self._waiting.keys() & why.keys():
                return  # the previous batch contained them
            batch, self._waiting = self._waiting, {}
            await self._store(batch)
