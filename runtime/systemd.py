"""Tell systemd that a daemon is up, ends, or is alive (sd_notify(3)); where nobody listens, nothing happens."""

import asyncio
import os
import socket
import time

_FEEDS = 3  # in the time after which systemd ends a silent daemon


def notify(state: str) -> None:
    """Send one state, such as READY=1."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(state.encode())


def watchdog_interval() -> float | None:
    """Seconds between signs of life that systemd wants of this process (WatchdogSec), or None."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    wanted = os.environ.get("WATCHDOG_USEC", "")
    return int(wanted) / 1e6 / _FEEDS if wanted.isdecimal() and int(wanted) else None


async def feed_watchdog() -> None:
    """Give signs of life from the event loop until cancelled: a loop that hangs gives none."""
    interval = watchdog_interval()
    while interval:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)


class Watchdog:
    """The same for a daemon without an event loop, which calls `feed` at each turn."""

    def __init__(self) -> None:
        self._interval = watchdog_interval()
        self._next = 0.0

    def feed(self) -> None:
        """Give a sign of life, where it is time."""
        if self._interval and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval
            notify("WATCHDOG=1")
