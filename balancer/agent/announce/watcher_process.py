"""The watcher's process: the agent starts it beside itself, in a session of its own, and ends it when it ends."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from balancer.agent.announce.bird import Bird
from balancer.agent.announce.deadman import watch_agent
from node.state.signs import LifeSign


async def start_watcher(
    state: Path, bird_socket: Path, protocol: str, state_file: Path | None, seconds: float
) -> asyncio.subprocess.Process:
    """Start the watcher of this process, in a session of its own; it finds a fresh sign of life."""
    LifeSign(state).give_sign()
    words = [
        *(sys.executable, "-m", "balancer.agent.announce.watcher_process", "--state", str(state)),
        *("--bird-socket", str(bird_socket), "--protocol", protocol, "--seconds", f"{seconds:g}"),
        *("--agent", str(os.getpid())),
    ]
    if state_file is not None:
        words += ["--bird-state-file", str(state_file)]
    return await asyncio.create_subprocess_exec(*words, start_new_session=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Withdraw the VIP when the agent is killed or hangs.")
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
