"""Store which edges came up and went down, all that wait in one change: a fleet that starts is a few writes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping


class Settling:
    """Whoever has the turn stores what everybody waits for."""

    def __init__(self, store: Callable[[Mapping[int, str]], Awaitable[None]]) -> None:
        self._store = store
        self._waiting: dict[int, str] = {}
        self._turn = asyncio.Lock()

    async def settle(self, why: Mapping[int, str]) -> None:
        """Return when these edges are stored; `why` is edge id -> reason."""
        self._waiting |= why
        async with self._turn:
            if not self._waiting.keys() & why.keys():
                return  # the one before took them along
            batch, self._waiting = self._waiting, {}
            await self._store(batch)
