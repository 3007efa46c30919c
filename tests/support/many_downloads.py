"""Many downloads at once in one process: `many_downloads.py COUNT VIP PATH INTERFACE INTERFACE`.

Says "running" when every one has bytes, and at the end a line of JSON: SHA-256s, owners, errors, and how paths ended.
"""

import asyncio
import hashlib
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field

from smkex.client import ConnectOptions, connect

AT_ONCE = 16  # handshakes


@dataclass
class Outcome:
    digests: Counter[str] = field(default_factory=Counter)
    owners: Counter[int] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


async def download(
    vip: str,
    path: str,
    interfaces: list[str],
    turn: asyncio.Semaphore,
    outcome: Outcome,
    begun: asyncio.Semaphore,
) -> None:
    try:
        async with turn:
            connection = await connect(
                vip, options=ConnectOptions(paths=interfaces, known_hosts=None, timeout=30)
            )
        connection.writer.write(f"GET {path} HTTP/1.1\r\nhost: cdn.lab\r\n\r\n".encode())
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        left = int(re.search(rb"\r\ncontent-length: (\d+)\r\n", head.lower())[1])  # type: ignore[index]
        digest = hashlib.sha256()
        first = True
        while left:
            data = await connection.reader.read(min(left, 16_384))
            assert data, "the session ended"
            left -= len(data)
            digest.update(data)
            if first:
                begun.release()
            first = False
        report = connection.report()
        outcome.digests[digest.hexdigest()] += 1
        outcome.owners[report.owner_id] += 1
        outcome.states.update(each.state for each in report.paths)
        await connection.close()
    except Exception as error:
        outcome.errors[f"{type(error).__name__}: {error}"] += 1
        begun.release()


async def main(count: int, vip: str, path: str, interfaces: list[str]) -> None:
    outcome, turn, begun = Outcome(), asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(0)
    running = [
        asyncio.create_task(download(vip, path, interfaces, turn, outcome, begun)) for _ in range(count)
    ]
    for _ in running:
        await begun.acquire()
    print("running", flush=True)
    await asyncio.gather(*running)
    print(json.dumps(vars(outcome)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
