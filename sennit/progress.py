"""A progress bar on a terminal: amount, rate, remaining time."""

import shutil
import time
from collections import deque
from typing import TextIO

REDRAW_INTERVAL = 0.1  # seconds between two drawings
RATE_WINDOW = 3.0  # seconds that the rate is an average of


class ProgressBar:
    """A line that redraws itself; `update` limits its own rate."""

    def __init__(self, name: str, output: TextIO) -> None:
        self._name, self._output = name, output
        self._seen: deque[tuple[float, int]] = deque()
        self._drawn = 0.0

    def update(self, so_far: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._drawn < REDRAW_INTERVAL:
            return
        self._drawn = now
        self._seen.append((now, so_far))
        while now - self._seen[0][0] > RATE_WINDOW:
            self._seen.popleft()
        width = shutil.get_terminal_size().columns - 1
        self._output.write(f"\r{format_line(self._name, so_far, total, self._rate(), width)}\x1b[K")
        self._output.flush()

    def clear(self) -> None:
        if self._drawn:
            self._output.write("\r\x1b[K")
            self._output.flush()

    def _rate(self) -> float | None:
        (began, before), (now, so_far) = self._seen[0], self._seen[-1]
        return (so_far - before) / (now - began) if now > began else None


def format_line(name: str, so_far: int, total: int | None, rate: float | None, width: int) -> str:
    """The bar in `width` columns; `rate` is in bytes a second."""
    speed = f"{rate * 8 / 1e6:,.0f} Mbit/s" if rate is not None else ""
    if total is None or so_far > total:
        return f"{name}  {format_size(so_far)}  {speed}"[:width]
    left = f"{format_duration((total - so_far) / rate)} left" if rate else ""
    percent = 100 * so_far // max(total, 1)
    facts = f"{percent:3d} %  {format_size(so_far)} of {format_size(total)}  {speed:>13}  {left:>10}"
    room = width - len(name) - len(facts) - 6
    if room < 10:
        return f"{name}  {facts}"[:width]
    done = room * so_far // max(total, 1)
    return f"{name}  [{'=' * done}{' ' * (room - done)}]  {facts}"


def format_size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def format_duration(seconds: float) -> str:
    whole = int(seconds + 0.5)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}"
