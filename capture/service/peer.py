"""Which process is at the other end of a unix socket, and whether it may be moved."""

import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CREDENTIALS = struct.Struct("=iII")
_SO_PEERPIDFD = 77  # asm-generic/socket.h, since Linux 6.5


class JoinRefused(Exception):
    """A process is not put under capture; the text says why, `hint` what to do."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class PeerProcess:
    """Process and user as the kernel recorded them when the socket was connected; `descriptor` is a pidfd."""

    process: int
    uid: int
    descriptor: int

    def is_alive(self) -> bool:
        """Return whether the process has not ended: its number is its own as long."""
        changes = select.poll()
        changes.register(self.descriptor, select.POLLIN)
        return not changes.poll(0)

    def check(self) -> None:
        """Raise `JoinRefused` unless this is still the process of that user."""
        try:
            uids = next(
                line.split()[1:]
                for line in Path("/proc", str(self.process), "status").read_text().splitlines()
                if line.startswith("Uid:")
            )
        except (OSError, StopIteration):
            raise JoinRefused("the process has ended, or is hidden from the service") from None
        if not self.is_alive() or set(uids) != {str(self.uid)}:
            raise JoinRefused("the process is no longer the one that asked")


def peer_user(channel: socket.socket) -> tuple[int, int]:
    """Return the process and user ids of the other end."""
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, uid, _ = _CREDENTIALS.unpack(raw)
    return process, uid


@contextmanager
def peer_process(channel: socket.socket) -> Iterator[PeerProcess]:
    """Hold the process at the other end, so that its number cannot become another's. Raises `JoinRefused`."""
    process, uid = peer_user(channel)
    try:
        raw = channel.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, 4)
        (descriptor,) = struct.unpack("=i", raw)
    except OSError:
        descriptor = _open_process(process)
    try:
        yield PeerProcess(process, uid, descriptor)
    finally:
        os.close(descriptor)


def _open_process(process: int) -> int:
    """Before Linux 6.5: by its number, which `check` compares with the user."""
    try:
        return os.pidfd_open(process)
    except OSError:
        raise JoinRefused("the process has ended") from None
