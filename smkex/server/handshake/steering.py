"""What names the process that serves a new subflow, where several share one listener."""

import socket
from typing import Final, Protocol

# decisions that are no destination
HERE: Final = -1
MORE: Final = -2  # its first bytes do not tell yet
LATER: Final = -3  # ask again: what decides may be about to arrive

RETRY_DELAY: Final = 0.02  # seconds until it is asked again after LATER


class WorkerSteering(Protocol):
    """Decides by the first bytes of a subflow."""

    def decide(self, received: bytes, waited: float, handed_over: bool) -> int:
        """Return a destination for `pass_on`, or `HERE`, `MORE`, `LATER`.

        The subflow arrived `waited` seconds ago; `handed_over`: another process has passed it on already.
        """
        ...

    def pass_on(self, destination: int, connection: socket.socket, received: bytes) -> bool:
        """Pass a connection on with what it was read of it, and close it here; False where that cannot be done."""
        ...
