"""Descriptors that a process has inherited for its program."""

import contextlib
import fcntl
import os


def release_descriptors() -> None:
    """Close what this process has inherited for its program, so that an end that the program closes is closed.

    Standard error stays, for failures. This process's own descriptors are those that exec closes.
    """
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for standard in (0, 1):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # that of the listing itself
            if number > 2 and not fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                os.close(number)
