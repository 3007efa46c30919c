"""Begin key exchanges and never end them. `python -m lab.scenarios.flood VIP PORT COUNT`, till the end of input.

Says how many stand, and how many the edge has refused, in a line of JSON a second.
"""

import asyncio
import contextlib
import json
import os
import resource
import sys

from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ENTROPY_LENGTH, ClientConfig, ClientEntropy
from smkex.core.wire.frame import FrameType

AT_ONCE = 64


async def _begin_handshakes(host: str, port: int, counts: dict[str, int], turn: asyncio.Semaphore) -> None:
    while True:
        async with turn:
            try:
                reader, writer = await asyncio.open_connection(host, port)
                entropy = ClientEntropy.from_bytes(os.urandom(ENTROPY_LENGTH))
                writer.write(ClientHandshake.begin(ClientConfig(), entropy).client_share)
                answer = await reader.read(4096)
            except OSError:
                counts["unanswered"] += 1
                await asyncio.sleep(0.1)
                continue
        if answer[:1] == bytes((FrameType.SERVER_SHARE,)):
            counts["begun"] += 1
            await _hold_open(reader)
        else:
            counts["refused"] += 1
        writer.close()


async def _hold_open(reader: asyncio.StreamReader) -> None:
    """Until the edge has had enough of it."""
    with contextlib.suppress(OSError):
        await reader.read()


async def _flood_edge(host: str, port: int, count: int) -> None:
    counts = dict.fromkeys(("begun", "refused", "unanswered"), 0)
    turn = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_begin_handshakes(host, port, counts, turn)) for _ in range(count)]
        ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        while not ended.done():
            await asyncio.wait([ended], timeout=1)
            print(json.dumps(counts), flush=True)
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    number = int(sys.argv[3])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(number + 100, hard), hard))
    asyncio.run(_flood_edge(sys.argv[1], int(sys.argv[2]), number))
