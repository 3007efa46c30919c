"""Capabilities: how a process gives up what it does not need."""

import ctypes
import os
import struct

NET_ADMIN = 12
_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def keep_only_capabilities(*capabilities: int) -> None:
    """Give up every other capability of this process, for good (this thread and those it starts)."""
    mask = sum(1 << number for number in capabilities)
    permitted = _permitted_mask() & mask
    _set_capabilities(permitted)


def drop_capabilities(*capabilities: int) -> None:
    """Give up these capabilities of this process, for good (this thread and those it starts)."""
    _set_capabilities(_permitted_mask() & ~sum(1 << number for number in capabilities))


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
