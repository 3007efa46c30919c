"""Who of a node's workers asks the origin for a URL: the others wait for what it stores.

A lease is a lock on one byte of a file that all workers have open, at the place that the URL's hash gives (open file
description locks, fcntl(2)). The kernel keeps it: when a worker dies, its leases are gone.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import struct
from collections import Counter
from pathlib import Path

WAIT = 10.0  # seconds that a worker waits for another's answer before it asks for itself
_LOOK_FIRST, _LOOK_LONGEST = 0.002, 0.05
_FLOCK = struct.Struct("@hhqqi4x")  # struct flock


class Leases:
    """The leases of one worker. Those of one worker never exclude each other."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        with contextlib.suppress(PermissionError):
            os.fchmod(self._file, 0o660)  # for the group too, as the index
        self._held: Counter[str] = Counter()

    async def take(self, key: str, wait: float = WAIT) -> bool:
        """Wait until `key` is nobody else's and have its lease; False when that took longer than `wait` seconds."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + wait, _LOOK_FIRST
        while not self._lock(key, fcntl.F_WRLCK):
            if loop.time() >= until:
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LOOK_LONGEST)
        self._held[key] += 1
        return True

    def let_go(self, key: str) -> None:
        """Let the others have what `take` gave."""
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
            self._lock(key, fcntl.F_UNLCK)

    def close(self) -> None:
        os.close(self._file)

    def _lock(self, key: str, kind: int) -> bool:
        place = int.from_bytes(hashlib.blake2s(key.encode(), digest_size=8).digest(), "big") >> 2
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, place, 1, 0))
        except BlockingIOError:
            return False
        return True
