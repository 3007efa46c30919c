"""What flows and sessions need of an event loop: readiness of descriptors, and deadlines.

`smkex.transport.reactor` implements it as the loop's own selector, `smkex.transport.loop_poller` on any other loop.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

READABLE: Final = 0x001  # EPOLLIN
WRITABLE: Final = 0x004  # EPOLLOUT
NEVER: Final = float("inf")


class Handler(Protocol):
    """What serves one descriptor."""

    def on_event(self, mask: int, now: float) -> None:
        """Serve a descriptor that is ready as `mask` says, as epoll has it. A spurious call must do no harm."""

    def on_fault(self, error: Exception) -> None:
        """Close the descriptor: `on_event` raised `error`, which has been reported."""


class Timer:
    """A deadline that is moved more often than it passes. `on_due` is called with the time, monotonic seconds."""

    def __init__(self, on_due: Callable[[float], None]) -> None:
        self.on_due = on_due
        self.due: float = NEVER  # when it must ring
        self.queued: float = NEVER  # when its poller looks at it next
        self.entry: Any = None  # the poller's


class Poller:
    """Readiness and deadlines for handlers and timers of one thread."""

    def add(self, number: int, handler: Handler, mask: int) -> None:
        """Call `handler` whenever the descriptor `number` is ready as `mask` says, which is not 0."""
        raise NotImplementedError

    def change(self, number: int, handler: Handler, mask: int) -> None:
        """Change what an added descriptor is watched for."""
        raise NotImplementedError

    def remove(self, number: int) -> None:
        """Watch an added descriptor no longer; before it is closed."""
        raise NotImplementedError

    def arm(self, timer: Timer, at: float) -> None:
        """Ring `timer` once at `at`, which replaces what it was armed for before."""
        raise NotImplementedError

    def disarm(self, timer: Timer) -> None:
        """Ring `timer` no more."""
        raise NotImplementedError

    def defer(self, callback: Callable[[], object]) -> None:
        """Call `callback` once whatever runs now has returned, in the order of the calls of this method."""
        raise NotImplementedError
