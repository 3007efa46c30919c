"""Budget of the bytes that all sessions of this process hold, in both directions.

Each window is at most a share of what is free of the budget, so windows shrink as it fills (dynamic thresholds, as
switches with shared buffers have them: Choudhury and Hahne, 1998). Above the budget the session that would need most
time to drain what it holds, at the rate of its progress, ends with `overloaded`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from smkex.core.errors import SmkexError
from smkex.transport.driver import HeldBytesAccount

log = logging.getLogger("smkex.server.limits.held_bytes")

# of the memory limit; the rest is the interpreter's, the cache's, and what the allocator loses
MEMORY_SHARE = 4
FREE_SHARE = 8  # a window is at most this part of the free bytes
SMALLEST_WINDOW = 64 << 10  # one record
EASED_SHARE = 8  # sessions end until this part of the budget is free
RATE_INTERVAL = 1.0  # seconds over which progress is measured
LOWEST_RATE = 1024.0  # bytes a second; below it only what a session holds counts


def default_budget(memory_limit: int) -> int:
    """Return the budget of a process whose memory is limited to `memory_limit` bytes."""
    return memory_limit // MEMORY_SHARE


class HoldingSession(Protocol):
    """What the budget needs of a session (`SessionDriver`)."""

    held_bytes_account: HeldBytesAccount | None

    @property
    def held_bytes(self) -> int: ...
    @property
    def progress(self) -> int: ...
    def limit_windows(self, limit: int) -> None: ...
    def fail(self, error: SmkexError) -> None: ...


class Holder(HeldBytesAccount):
    """What one session holds, and how fast it makes progress; times are monotonic seconds."""

    def __init__(self, budget: "HeldBytesBudget", progress: int, now: float) -> None:
        self._budget = budget
        self.progress = progress
        self.measured_at = now
        self.held = 0
        self.rate = 0.0

    def report(self, held: int, progress: int, now: float) -> int:
        if now - self.measured_at >= RATE_INTERVAL:
            self.rate = (progress - self.progress) / (now - self.measured_at)
            self.progress, self.measured_at = progress, now
        added, self.held = held - self.held, held
        return self._budget.add_held(added)

    def drain_time(self, progress: int, now: float) -> float:
        """Return the seconds that it would take to drain what is held; progress that stopped counts for less."""
        elapsed = max(now - self.measured_at, RATE_INTERVAL)
        latest = (progress - self.progress) / elapsed
        rate = max(latest, self.rate) if now - self.measured_at < 2 * RATE_INTERVAL else latest
        return self.held / max(rate, LOWEST_RATE)


class HeldBytesBudget:
    """Keeps the sum over all sessions at or below `limit`; `end_session` ends one with `overloaded`."""

    def __init__(self, limit: int, end_session: Callable[[HoldingSession], None]) -> None:
        self.limit = limit
        self.held = 0
        self._end_session = end_session
        self._holders: dict[HoldingSession, Holder] = {}
        self._ending = False

    def add_session(self, session: HoldingSession) -> None:
        """Account for a session, which reports what it holds from now on."""
        now = time.monotonic()
        holder = Holder(self, session.progress, now)
        self._holders[session] = session.held_bytes_account = holder
        session.limit_windows(holder.report(session.held_bytes, session.progress, now))

    def remove_session(self, session: HoldingSession) -> None:
        holder = self._holders.pop(session, None)
        if holder is not None:
            session.held_bytes_account = None
            self.held -= holder.held

    def add_held(self, added: int) -> int:
        """Account for `added` bytes more, or less; return the limit of a window now."""
        self.held += added
        if self.held > self.limit and not self._ending:
            self._ending = True
            # not here: this is called from within a session
            asyncio.get_running_loop().call_soon(self._end_largest)
        return max(SMALLEST_WINDOW, (self.limit - self.held) // FREE_SHARE)

    def _end_largest(self) -> None:
        """End sessions, the longest drain time first, until a part of the budget is free again."""
        self._ending = False
        if self.held <= self.limit:
            return
        now = time.monotonic()
        by_drain_time = sorted(
            self._holders, key=lambda session: self._holders[session].drain_time(session.progress, now)
        )
        while by_drain_time and self.held > self.limit - self.limit // EASED_SHARE:
            session = by_drain_time.pop()
            log.warning(
                "ending a session: %d bytes are held in all, %d at most; it holds %d",
                self.held,
                self.limit,
                self._holders[session].held,
            )
            self._end_session(session)
