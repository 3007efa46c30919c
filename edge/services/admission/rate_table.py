"""When each client prefix may send its next request: one table for all workers of an edge, in shared memory.

An entry is a key and the time at which its bucket is full again (the theoretical arrival time of the generic cell rate
algorithm, ITU-T I.371): an entry whose time has passed is a full bucket, and is replaced without loss. There is no
lock, so a worker that hangs or dies delays no other. Each number is read and written whole, but where two workers take
from one bucket within the same few hundred nanoseconds, one of the two requests may not be counted.
"""

import mmap
import os
import struct
from hashlib import blake2b

ENTRIES = 1 << 18  # of all services
WAYS = 8  # entries of a set; of a full set, the one that is full again the soonest is replaced
TOLERANCE = 1e-6  # seconds, for the rounding of sums
_KEYS = struct.Struct(f"{WAYS}Q")  # native, so that each number is copied whole
_SEED_BYTES = 64
_SET_WORDS = 2 * WAYS  # the keys of a set, then their times
_SIZE = _SEED_BYTES + ENTRIES * 16


def create_rate_memory() -> int:
    """Return the descriptor of an empty table, for workers to inherit; at most 4 MB, taken as entries are used."""
    descriptor = os.memfd_create("request-rates", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, _SIZE)
    os.pwrite(descriptor, os.urandom(_SEED_BYTES), 0)  # no client can compute which entry is another's
    return descriptor


class RateTable:
    """The table in the memory of `descriptor`, which may be closed. Times are monotonic seconds of this machine."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, _SIZE)
        self._seed = self._map[:_SEED_BYTES]
        entries = memoryview(self._map)[_SEED_BYTES:]
        self._keys, self._times = entries.cast("Q"), entries.cast("d")

    @classmethod
    def private(cls) -> "RateTable":
        """Return a table of this process alone."""
        descriptor = create_rate_memory()
        try:
            return cls(descriptor)
        finally:
            os.close(descriptor)

    def hash_key(self, *parts: object) -> int:
        """Return the key of a bucket, never 0, which is that of an unused entry."""
        digest = blake2b(repr(parts).encode(), key=self._seed, digest_size=8).digest()
        return int.from_bytes(digest, "little") | 1

    def take_token(self, key: int, interval: float, burst: int, now: float) -> float:
        """Take one of `burst` tokens, of which one returns each `interval`: 0, or the seconds until there is one."""
        keys, times = self._find_entry(key)
        full_at = max(now, self._times[times]) if self._keys[keys] == key else now
        wait = full_at - now - (burst - 1) * interval
        if wait > TOLERANCE:
            return wait
        self._times[times] = full_at + interval
        self._keys[keys] = key
        return 0.0

    def _find_entry(self, key: int) -> tuple[int, int]:
        """Return where the key and the time are of the entry with a key, else of the one to replace."""
        first = (key >> 1) % (ENTRIES // WAYS) * _SET_WORDS
        keys = _KEYS.unpack_from(self._map, _SEED_BYTES + first * 8)
        if key in keys:
            way = keys.index(key)
        else:
            until = self._times[first + WAYS : first + _SET_WORDS].tolist()
            way = until.index(min(until))
        return first + way, first + WAYS + way
