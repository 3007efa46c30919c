"""The guard: a process that survives the one that serves, and keeps what it leaves behind closed.

If the serving process is killed, captured programs still connect to its ports. The guard holds those ports, so that no
other process can take them, refuses every connection, and removes the control group with its last process.
"""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Sequence

from capture.cgroup import ControlGroup
from capture.descriptors import release_descriptors

FINISHED = b"f"
POLL = 1000  # milliseconds, beside the kernel's notification


class Guard:
    """The serving process's end. Call `start` before any thread or event loop."""

    def __init__(self, channel: int, process: int) -> None:
        self._channel, self._process = channel, process

    @classmethod
    def start(cls, group: ControlGroup, sockets: Sequence[socket.socket]) -> "Guard":
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                os.close(writing)
                _guard_group(reading, group, sockets)
            finally:
                os._exit(0)
        os.close(reading)
        return cls(writing, process)

    def remove_group(self) -> None:
        """Have the guard remove the group, in which no process is left: it has the capabilities still."""
        with contextlib.suppress(OSError):
            os.write(self._channel, FINISHED)
        os.close(self._channel)
        os.waitpid(self._process, 0)

    def take_over(self) -> None:
        """Leave the group, in which there are processes, to the guard."""
        os.close(self._channel)


def _guard_group(channel: int, group: ControlGroup, sockets: Sequence[socket.socket]) -> None:
    os.setsid()  # the terminal's signals are not for this process
    release_descriptors()
    os.dup2(0, 2)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if os.read(channel, 1) != FINISHED:
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(
                    socket.SHUT_RDWR
                )  # it stays bound, and no longer listens: connections are refused
    changes = select.poll()
    changes.register(group.events_descriptor, select.POLLPRI)
    while group.is_populated():
        changes.poll(POLL)
    group.remove()
