"""The emulator's process: joins two TAP devices by two pipes. `python -m lab.emulation.relay`, started by `link`.

It sleeps until the next frame is due, under a real-time policy and with the processor kept from deep sleep, which makes
it some tens of microseconds late at most on an idle machine. SIGHUP: read the settings again. SIGTERM: the end.
"""

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from lab.emulation.impairment import Impairment
from lab.emulation.pipe import Pipe
from lab.emulation.tap import FRAME_MOST, HEADER, open_tap, set_offload

BATCH = 64  # frames read from one end before the other has its turn
PRIORITY = 10  # of SCHED_FIFO: above everything ordinary, below the kernel's own


def read_settings(path: Path) -> tuple[Impairment, Impairment]:
    """What both directions are to be like: from the left, from the right."""
    left, right = json.loads(path.read_text())
    return Impairment(**left), Impairment(**right)


class Relay:
    """Two ends, and a pipe from each to the other."""

    def __init__(self, ends: tuple[int, int], settings: Path) -> None:
        self._ends = ends
        self._settings = settings
        self._pipes = (Pipe(Impairment()), Pipe(Impairment()))
        self._stopped = False
        self.configure()

    def configure(self) -> None:
        impairments = read_settings(self._settings)
        for end, pipe, impairment in zip(self._ends, self._pipes, impairments, strict=True):
            pipe.change(impairment)
            # a rate counts frames: those of a wire, not the 64 KB ones that a sender may hand down
            set_offload(end, impairment.rate is None)

    def stop(self) -> None:
        self._stopped = True

    def run(self, wake: int) -> None:
        """Relay until stopped; `wake` is readable after a signal."""
        while not self._stopped:
            due = [at for pipe in self._pipes if (at := pipe.due_at()) is not None]
            timeout = max(0.0, min(due) - time.monotonic()) if due else None
            readable, _, _ = select.select([*self._ends, wake], [], [], timeout)
            if wake in readable:
                os.read(wake, 64)
            for source, pipe in zip(self._ends, self._pipes, strict=True):
                if source in readable:
                    self._take(source, pipe)
            for pipe, sink in zip(self._pipes, reversed(self._ends), strict=True):
                self._give(pipe, sink)

    @staticmethod
    def _take(source: int, pipe: Pipe) -> None:
        for _ in range(BATCH):
            try:
                frame = os.read(source, FRAME_MOST)
            except BlockingIOError:
                return
            pipe.push(time.monotonic(), frame, len(frame) - HEADER)

    @staticmethod
    def _give(pipe: Pipe, sink: int) -> None:
        while (frame := pipe.pop(time.monotonic())) is not None:
            # an end that is down for now refuses frames, as a cable would
            with contextlib.suppress(OSError):
                os.write(sink, frame)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--end", nargs=2, action="append", required=True, metavar=("NAMESPACE", "TAP"))
    parser.add_argument("--settings", type=Path, required=True)
    options = parser.parse_args(arguments)
    left, right = (open_tap(name, Path(namespace)) for namespace, name in options.end)
    relay = Relay((left, right), options.settings)
    awake, wake = os.pipe()
    for end in (awake, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGHUP, lambda *_: relay.configure())
    signal.signal(signal.SIGTERM, lambda *_: relay.stop())
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    print("ready", file=sys.stderr, flush=True)
    relay.run(awake)


if __name__ == "__main__":
    main(sys.argv[1:])
