"""Sample the functions that this process runs: SIGUSR2 begins, another ends and writes JSON to $SAMPLES.

Python imports it at the start where this folder is in PYTHONPATH (`site`, "sitecustomize"). A sample is taken for every
INTERVAL of processor time, by the function that runs then: native code counts for the function that called it, as
compiled modules have no frames.
"""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL = 0.002  # seconds of processor time
_own: Counter[str] = Counter()
_with_callees: Counter[str] = Counter()
_running = False


def _count_frames(number: int, frame: FrameType | None) -> None:
    del number
    names: list[str] = []
    while frame is not None:
        code = frame.f_code
        folder, _, file = code.co_filename.rpartition("/")
        names.append(f"{Path(folder).name}/{file}:{code.co_qualname}")
        frame = frame.f_back
    _own[names[0]] += 1
    _with_callees.update(set(names))


def _switch_sampling(number: int, frame: FrameType | None) -> None:
    global _running
    del number, frame
    _running = not _running
    signal.setitimer(signal.ITIMER_PROF, *((INTERVAL, INTERVAL) if _running else (0.0, 0.0)))
    if not _running:
        unfinished = Path(f"{os.environ['SAMPLES']}.{os.getpid()}")
        unfinished.write_text(json.dumps({"own": _own, "with_callees": _with_callees}))
        unfinished.rename(os.environ["SAMPLES"])


if "SAMPLES" in os.environ:
    signal.signal(signal.SIGPROF, _count_frames)
    signal.signal(signal.SIGUSR2, _switch_sampling)
