"""Drop capabilities for good, and verify it in every thread: the kernel keeps them per thread (capabilities(7))."""

import ctypes
import os
import struct
from pathlib import Path

KILL = 5
NET_BIND_SERVICE = 10
NET_ADMIN = 12
NET_RAW = 13
BPF = 39
_VERSION_3 = 0x20080522
_SETS = ("CapInh:", "CapPrm:", "CapEff:", "CapAmb:")
_TASKS = Path("/proc/self/task")

_libc = ctypes.CDLL(None, use_errno=True)


class CapabilitiesHeld(Exception):
    """A thread of this process still holds capabilities that were to be dropped."""


def keep_only_capabilities(*capabilities: int) -> None:
    """Drop every other capability. Call it before any thread. Raises `CapabilitiesHeld`, OSError."""
    _drop_mask(~_mask_of(capabilities))


def drop_capabilities(*capabilities: int) -> None:
    """Drop these capabilities. Call it before any thread. Raises `CapabilitiesHeld`, OSError."""
    _drop_mask(_mask_of(capabilities))


def held_capabilities(tasks: Path = _TASKS) -> dict[int, int]:
    """Return the union of the inheritable, permitted, effective and ambient sets of each thread."""
    held = {}
    for task in tasks.iterdir():
        try:
            lines = (task / "status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):  # the thread ended meanwhile
            continue
        fields = (line.split() for line in lines)
        masks = [int(field[1], 16) for field in fields if field and field[0] in _SETS]
        held[int(task.name)] = masks[0] | masks[1] | masks[2] | masks[3]
    return held


def _drop_mask(dropped: int) -> None:
    _set_capabilities(_permitted_mask() & ~dropped)
    threads = [thread for thread, held in held_capabilities().items() if held & dropped]
    if threads:
        raise CapabilitiesHeld(f"threads {threads} still hold capabilities that were dropped")


def _mask_of(capabilities: tuple[int, ...]) -> int:
    return sum(1 << number for number in capabilities)


def _permitted_mask() -> int:
    with open("/proc/thread-self/status") as status:
        return next(int(line.split()[1], 16) for line in status if line.startswith("CapPrm:"))


def _set_capabilities(mask: int) -> None:
    header = struct.pack("=Ii", _VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    if _libc.capset(header, data):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
