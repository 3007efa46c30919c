"""An edge that is drained says so and takes no new session: a moment later the route leads to another one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from smkex.core.errors import Code, PeerAborted

Result = TypeVar("Result")
AGAIN_AFTER = 0.25  # seconds


async def past_drains(attempt: Callable[[float], Awaitable[Result]], timeout: float) -> Result:
    """`attempt(seconds left)`, everything fresh each time, until it is answered by an edge that stays.

    Raises what it raises; the Abort of the draining edge when the time is up. A forged one costs time, no more.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return await attempt(deadline - time.monotonic())
        except PeerAborted as error:
            late = time.monotonic() + AGAIN_AFTER >= deadline
            if error.peer_code != Code.DRAINING or error.authenticated or late:
                raise
        await asyncio.sleep(AGAIN_AFTER)
