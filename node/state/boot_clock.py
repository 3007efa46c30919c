"""Moments that outlive a daemon, and that no correction of the wall clock moves: monotonic time with a boot id."""

import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

BOOT_ID_VARIABLE = "SENNIT_BOOT_ID"  # the units set it to %b: /proc/sys is hidden from some of them
BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


@cache
def current_boot_id() -> str:
    """Return 32 hexadecimal digits that differ after each start of the host; nothing where they cannot be read."""
    text = os.environ.get(BOOT_ID_VARIABLE, "")
    if not text:
        try:
            text = BOOT_ID_FILE.read_text()
        except OSError:
            return ""
    return text.strip().replace("-", "")


@dataclass(frozen=True, slots=True)
class BootMoment:
    """A moment of one boot. `at`: CLOCK_MONOTONIC, seconds."""

    boot_id: str
    at: float

    @classmethod
    def now(cls) -> "BootMoment":
        """Return the present moment."""
        return cls(current_boot_id(), time.monotonic())

    @classmethod
    def from_json(cls, value: Any) -> "BootMoment":
        """Raises TypeError, KeyError, ValueError."""
        if not isinstance(value["boot_id"], str):
            raise TypeError("boot_id: not a text")
        return cls(value["boot_id"], float(value["at"]))

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict, ready for `json.dumps`."""
        return {"boot_id": self.boot_id, "at": self.at}

    def elapsed(self) -> float:
        """Return the seconds since then; infinity where the host was restarted in between."""
        seconds = time.monotonic() - self.at
        if self.boot_id != current_boot_id() or seconds < 0:
            return float("inf")
        return seconds
