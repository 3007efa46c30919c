"""Keep keys out of core dumps and away from debuggers of the same user (prctl(2), PR_SET_DUMPABLE)."""

import ctypes
import os

_PR_SET_DUMPABLE = 4

_libc = ctypes.CDLL(None, use_errno=True)


def forbid_core_dumps() -> None:
    """Make this process undumpable; call it in every process, since execve(2) undoes it. Raises OSError."""
    if _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
