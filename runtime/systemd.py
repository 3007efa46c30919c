"""Notifications to systemd (sd_notify(3)): ready, stopping, watchdog. Without NOTIFY_SOCKET they do nothing."""

import asyncio
import os
import socket
import time

_KEEPALIVES_PER_INTERVAL = 3  # within WatchdogSec


def notify_systemd(state: str) -> None:
    """Send one state, such as READY=1, to systemd."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(state.encode())


def watchdog_interval() -> float | None:
    """Return the seconds between watchdog notifications of this process, None where WatchdogSec is not set."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    wanted = os.environ.get("WATCHDOG_USEC", "")
    return int(wanted) / 1e6 / _KEEPALIVES_PER_INTERVAL if wanted.isdecimal() and int(wanted) else None


async def feed_watchdog() -> None:
    """Send watchdog notifications from the event loop until cancelled: a blocked loop sends none."""
    interval = watchdog_interval()
    while interval:
        notify_systemd("WATCHDOG=1")
        await asyncio.sleep(interval)


class Watchdog:
    """Watchdog notifications of a daemon without an event loop, which calls `feed` at each turn."""

    def __init__(self) -> None:
        self._interval = watchdog_interval()
        self._next = 0.0

    def feed(self) -> None:
        """Send a watchdog notification when one is due."""
        if self._interval and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval
            notify_systemd("WATCHDOG=1")
