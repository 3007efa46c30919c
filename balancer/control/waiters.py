"""Requests that wait for a newer generation of what is published."""

import asyncio


class Waiters:
    """All that wait; each is woken by the next generation, or when the control plane stops."""

    def __init__(self) -> None:
        self._newer = asyncio.Event()
        self.closed = False

    def wake(self) -> None:
        """Wake all that wait now."""
        self._newer.set()
        self._newer = asyncio.Event()

    def close(self) -> None:
        """Wake all waiters, and let later ones return at once."""
        self.closed = True
        self.wake()

    async def wait(self, seconds: float) -> None:
        """Wait until woken, at most `seconds`."""
        if seconds > 0 and not self.closed:
            try:
                async with asyncio.timeout(seconds):
                    await self._newer.wait()
            except TimeoutError:
                pass
