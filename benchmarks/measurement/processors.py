"""Which processors a server under test and its load run on: one each, so that each can be kept busy by the other."""

import contextlib
import os
from pathlib import Path

_AVAILABLE = sorted(os.sched_getaffinity(0))
SERVER_PROCESSOR = {_AVAILABLE[0]}
LOAD_PROCESSOR = {_AVAILABLE[-1]}  # the same where there is one only


def pin_process(pid: int, processors: set[int]) -> None:
    """Keep all threads of a process on `processors`; those that it makes later inherit it."""
    for thread in _thread_ids(pid):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread, processors)


def processor_seconds(pid: int) -> float:
    """Processor seconds, user and system, of the threads that a process has now (proc(5), schedstat: nanoseconds)."""
    total = 0
    for thread in _thread_ids(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    return total / 1e9


def _thread_ids(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):  # a helper of an edge without root ends soon
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    return []
