"""Fetch leases: one worker of a node fetches a URL, the others wait for the stored response.

A lease is an open file description lock (fcntl(2)) on one byte of a shared file, at the offset given by the URL's
hash. The kernel releases the leases of a worker that dies.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import struct
from collections import Counter
from pathlib import Path

LEASE_WAIT_SECONDS = 10.0  # seconds that a worker waits for another's response before it fetches itself
_POLL_FIRST, _POLL_LONGEST = 0.002, 0.05
_FLOCK = struct.Struct("@hhqqi4x")  # struct flock


class FetchLeases:
    """The leases of one worker. Leases of one worker do not exclude each other."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        with contextlib.suppress(PermissionError):
            os.fchmod(self._file, 0o660)  # group access, like the index
        self._held: Counter[str] = Counter()

    async def acquire(self, key: str, wait: float = LEASE_WAIT_SECONDS) -> bool:
        """Acquire the lease of `key`; return False after `wait` seconds."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + wait, _POLL_FIRST
        while not self._lock(key, fcntl.F_WRLCK):
            if loop.time() >= until:
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, _POLL_LONGEST)
        self._held[key] += 1
        return True

    def release(self, key: str) -> None:
        """Release one acquisition of the lease."""
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
