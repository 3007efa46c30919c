"""Connect path 0 to the first of several service addresses that answers (RFC 8305 section 5).

Only reachability is raced. Whichever wins, the whole key exchange follows there, over both paths.
"""

import asyncio
from collections.abc import Sequence

from smkex.core.errors import Cancelled
from smkex.transport.tcp.transport import TcpTransport

ATTEMPT_DELAY = 0.25  # seconds (RFC 8305 section 8)


async def connect_first_reachable(
    candidates: Sequence[TcpTransport], delay: float = ATTEMPT_DELAY
) -> TcpTransport:
    """Open path 0 of each in turn, the next when `delay` seconds have passed or those begun have failed.

    The others are aborted. Raises what the first candidate raised where all fail.
    """
    waiting = list(candidates)
    running: dict[asyncio.Task[None], TcpTransport] = {}
    failures: dict[TcpTransport, BaseException] = {}
    winner: TcpTransport | None = None
    try:
        while winner is None and (waiting or running):
            if waiting:
                candidate = waiting.pop(0)
                running[asyncio.create_task(candidate.open_first())] = candidate
            done, _ = await asyncio.wait(
                running, timeout=delay if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in [task for task in running if task in done]:  # the preferred first
                candidate = running.pop(task)
                error = task.exception()
                if error is None and winner is None:
                    winner = candidate
                elif error is None:
                    candidate.abort(Cancelled())
                else:
                    failures[candidate] = error
    finally:
        await _give_up(running)
    if winner is None:
        raise failures[candidates[0]]
    return winner


async def _give_up(running: dict[asyncio.Task[None], TcpTransport]) -> None:
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for candidate in running.values():
        candidate.abort(Cancelled())  # it may have connected in the last moment
