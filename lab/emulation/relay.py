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
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.emulation.impairment import Impairment
from lab.emulation.pipe import Pipe
from lab.emulation.tamper import Tamperer
from lab.emulation.tap import FRAME_MOST, HEADER, open_tap, set_offload

BATCH = 64  # frames read from one end before the other has its turn
PRIORITY = 10  # of SCHED_FIFO: above everything ordinary, below the kernel's own


@dataclass(frozen=True, slots=True)
class Settings:
    """What the link is like in both directions, and whether what comes from the right is to be attacked.

    `tamper_after` bytes of TCP payload after it was said, a byte is flipped; the file `tampered` then says when.
    """

    impairment: Impairment
    tamper_after: int | None = None
    tampered: str = ""

    @classmethod
    def read(cls, path: Path) -> "Settings":
        found = json.loads(path.read_text())
        return cls(Impairment(**found.pop("impairment")), **found)

    def write(self, path: Path) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.rename(path)


class LinkRelay:
    """Two ends, and a pipe from each to the other."""

    def __init__(self, ends: tuple[int, int], settings: Path) -> None:
        self._ends = ends
        self._path = settings
        self._pipes = (Pipe(Impairment()), Pipe(Impairment()))
        self._stopped = False
        self.configure()

    def configure(self) -> None:
        self._settings = settings = Settings.read(self._path)
        self._tamperer = None if settings.tamper_after is None else Tamperer(settings.tamper_after)
        for end, pipe in zip(self._ends, self._pipes, strict=True):
            pipe.change(settings.impairment)
            # a rate counts frames: those of a wire, not the 64 KB ones that a sender may hand down
            set_offload(end, settings.impairment.rate is None)

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
                    self._receive_frames(source, pipe)
            for pipe, sink in zip(self._pipes, reversed(self._ends), strict=True):
                self._send_frames(pipe, sink)

    def _receive_frames(self, source: int, pipe: Pipe) -> None:
        for _ in range(BATCH):
            try:
                frame = os.read(source, FRAME_MOST)
            except BlockingIOError:
                return
            if self._tamperer is not None and source == self._ends[1]:
                frame = self._tamper(self._tamperer, frame)
            pipe.push(time.monotonic(), frame, len(frame) - HEADER)

    def _tamper(self, tamperer: Tamperer, frame: bytes) -> bytes:
        frame = tamperer.pass_on(frame)
        if tamperer.done:
            self._tamperer = None
            Path(self._settings.tampered).write_text(f"{time.monotonic()}\n")
        return frame

    @staticmethod
    def _send_frames(pipe: Pipe, sink: int) -> None:
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
    relay = LinkRelay((left, right), options.settings)
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
