"""Map `struct live` of layout.h, whose words the daemon changes while programs run; each store is atomic."""

import ctypes
import mmap

from balancer.datapath.maps.layout import LIVE
from runtime.bpf.maps import Map


class Words(ctypes.Structure):
    """`struct live`; assigning a field is one aligned store."""

    slot: int
    prefixes: int
    overhead: int
    ready: int
    arrivals: int
    capture: int
    tick: int
    ring: int
    fresh_until: int
    _fields_ = (
        ("slot", ctypes.c_uint32),
        ("prefixes", ctypes.c_uint32),
        ("overhead", ctypes.c_uint32),
        ("ready", ctypes.c_uint32),
        ("arrivals", ctypes.c_uint32),
        ("capture", ctypes.c_uint32),
        ("tick", ctypes.c_uint32),
        ("ring", ctypes.c_uint32),
        ("fresh_until", ctypes.c_uint64),
    )


assert ctypes.sizeof(Words) == LIVE.size


class Live:
    """The mmap of live_map; the map's descriptor may be closed."""

    def __init__(self, live_map: Map) -> None:
        self._memory = mmap.mmap(live_map.descriptor, mmap.PAGESIZE)
        self.words = Words.from_buffer(self._memory)

    def close(self) -> None:
        del self.words
        self._memory.close()
