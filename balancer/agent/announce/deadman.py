"""Withdraw the VIP when the agent is killed or hangs, as a process beside it does that watches its sign of life.

systemd does the same by ExecStopPost where it manages the agent; this works everywhere, and for an agent that hangs.
The watch ends with the agent, or when it has withdrawn for it, or when BIRD is gone as well: a BIRD that does not
answer for long keeps no session either, and the included file already says that one that comes back announces nothing.
"""

import asyncio
import logging
import os
import time

from balancer.agent.announce.announcement import Announcement
from balancer.agent.announce.bird import Bird, BirdError
from balancer.agent.announce.silence import SilenceTimer
from node.state.signs import LifeSign

log = logging.getLogger(__name__)

POLL_INTERVAL = 0.5  # seconds
WITHDRAW_LIMIT = 60.0  # seconds of trying to withdraw for a dead agent: several hold times


async def watch_agent(sign_of_life: LifeSign, bird: Bird, agent: int, seconds: float) -> None:
    """Watch until the agent with this process id is gone and withdrawn for, or another one gives signs."""
    withdrawn, last_of_agent = False, None
    silence = SilenceTimer(sign_of_life.last_sign(), time.monotonic(), step_limit=2 * POLL_INTERVAL)
    while True:
        if last_of_agent is None and os.getppid() != agent:
            last_of_agent = sign_of_life.last_sign()
        last = sign_of_life.last_sign()
        if last_of_agent is not None and last > last_of_agent:
            return  # another agent lives here, with a watcher of its own
        quiet = silence.observe(last, time.monotonic())
        if quiet <= seconds:
            withdrawn = False
        elif not withdrawn:
            withdrawn = await _try_to_withdraw(bird)
        if last_of_agent is not None and (withdrawn or quiet > seconds + WITHDRAW_LIMIT):
            return
        await asyncio.sleep(POLL_INTERVAL)


async def _try_to_withdraw(bird: Bird) -> bool:
    try:
        await bird.set_announcement(Announcement.NONE)
    except BirdError as error:
        log.error("the VIP cannot be withdrawn: %s", error)
        return False
    log.error("the agent gives no sign of life: the VIP is withdrawn")
    return True
