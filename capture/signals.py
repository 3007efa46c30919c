"""Signals that `sennit run` gets: those of other processes are passed on to the program.

The terminal sends its own to the whole foreground process group, so the program has them already. What the caller has
ignored (nohup, background jobs of scripts) stays ignored, in this process and in the program.
"""

import ctypes
import os
import signal
import struct
from types import TracebackType
from typing import NamedTuple, Self

PASSED_ON = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
TO_EVERY_PROCESS = (signal.SIGTERM, signal.SIGHUP)  # background processes too
_INFO = struct.Struct("=Iii116x")  # struct signalfd_siginfo: number, errno, code
_INFO_LIMIT = 16
_libc = ctypes.CDLL(None, use_errno=True)


class ReceivedSignal(NamedTuple):
    number: signal.Signals
    by_kernel: bool  # as for a key of the terminal


class PassedSignals:
    """Blocks the signals of `PASSED_ON` that are not ignored, and reads them. Enter it before any thread."""

    def __enter__(self) -> Self:
        """Raises OSError."""
        numbers = {number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN}
        self._ignores_children = signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
        if self._ignores_children:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else there is no exit status
        self._usual_mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        try:
            self.descriptor = _open_signalfd(numbers)
        except BaseException:
            self.restore()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.read()  # what is left must not end this process now
        os.close(self.descriptor)
        self.restore()

    def restore(self) -> None:
        """Restore what was inherited; in the program's process between fork and exec."""
        if self._ignores_children:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._usual_mask)

    def read(self) -> list[ReceivedSignal]:
        """Return the signals that have arrived."""
        try:
            data = os.read(self.descriptor, _INFO.size * _INFO_LIMIT)
        except BlockingIOError:
            return []
        return [
            ReceivedSignal(signal.Signals(number), code > 0) for number, _, code in _INFO.iter_unpack(data)
        ]


def _open_signalfd(numbers: set[signal.Signals]) -> int:
    """signalfd(2), which Python 3.11 lacks."""
    mask = ctypes.create_string_buffer(128)  # sigset_t
    _libc.sigemptyset(mask)
    for number in numbers:
        _libc.sigaddset(mask, ctypes.c_int(number))
    descriptor: int = _libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor
