"""Withdraw the VIP when the agent is killed or hangs: a process beside it that watches for a sign of life.

systemd does the same by ExecStopPost where it manages the agent; this works everywhere, and for an agent that hangs. It
ends with the agent that started it, or when it has withdrawn for it, or when BIRD is gone as well: a BIRD that does not
answer for long keeps no session either, and the included file says already that one that comes back announces nothing.
"""

import argparse
import asyncio
import logging
import os
import sys
import time
from pathlib import Path

from balancer.agent.announce.announcement import Announcement
from balancer.agent.announce.bird import Bird, BirdError
from node.state.signs import LifeSign

log = logging.getLogger("balancer.agent.announce.deadman")

POLL_INTERVAL = 0.5  # seconds
WITHDRAW_LIMIT = 60.0  # seconds of trying to withdraw for a dead agent: several hold times


async def start_watcher(
    state: Path, bird_socket: Path, protocol: str, state_file: Path | None, seconds: float
) -> asyncio.subprocess.Process:
    """Start the watcher of this process, in a session of its own; it finds a fresh sign of life."""
    LifeSign(state).give_sign()
    words = [
        *(sys.executable, "-m", "balancer.agent.announce.deadman", "--state", str(state)),
        *("--bird-socket", str(bird_socket), "--protocol", protocol, "--seconds", f"{seconds:g}"),
        *("--agent", str(os.getpid())),
    ]
    if state_file is not None:
        words += ["--bird-state-file", str(state_file)]
    return await asyncio.create_subprocess_exec(*words, start_new_session=True)


async def watch_agent(sign_of_life: LifeSign, bird: Bird, agent: int, seconds: float) -> None:
    """Watch until the agent with this process id is gone and withdrawn for, or another one gives signs."""
    withdrawn, last_of_agent = False, None
    quiet, looked_at, sign = 0.0, time.monotonic(), sign_of_life.last_sign()
    while True:
        if last_of_agent is None and os.getppid() != agent:
            last_of_agent = sign_of_life.last_sign()
        last = sign_of_life.last_sign()
        if last_of_agent is not None and last > last_of_agent:
            return  # another agent lives here, with a watcher of its own
        # a host that was frozen froze this process too: only time that was looked at counts
        now = time.monotonic()
        quiet = 0.0 if last != sign else quiet + min(now - looked_at, 2 * POLL_INTERVAL)
        looked_at, sign = now, last
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--bird-socket", type=Path, required=True)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--bird-state-file", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    # an argument, not getppid(): an agent that dies while this starts would leave a parent that never ends
    parser.add_argument("--agent", type=int, required=True, metavar="PID")
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    bird = Bird(options.bird_socket, options.protocol, options.bird_state_file)
    asyncio.run(watch_agent(LifeSign(options.state), bird, options.agent, options.seconds))


if __name__ == "__main__":
    main()
