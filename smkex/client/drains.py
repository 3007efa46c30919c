"""Retry while an edge drains: it refuses new sessions until the route leads to another edge."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from smkex.core.errors import AbortCode, PeerAborted

Result = TypeVar("Result")
RETRY_DELAY = 0.25  # seconds


async def retry_while_draining(attempt: Callable[[float], Awaitable[Result]], timeout: float) -> Result:
    """Call `attempt(seconds left)` until an edge that is not draining answers.

    Raises as `attempt`, or the draining edge's Abort at the deadline. A forged Abort costs only time.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return await attempt(deadline - time.monotonic())
        except PeerAborted as error:
            late = time.monotonic() + RETRY_DELAY >= deadline
            if error.peer_code != AbortCode.DRAINING or error.authenticated or late:
                raise
        await asyncio.sleep(RETRY_DELAY)
