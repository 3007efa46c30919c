"""Ports for servers that a test starts a moment later."""

import contextlib
import random
import socket

LOWEST, HIGHEST = 12_000, 32_000  # below the ports that the kernel gives to outgoing connections
_random = (
    random.SystemRandom()
)  # its choice is another in each process, whatever seeds the module's generator


def free_port(count: int = 1, address: str = "127.0.0.1") -> int:
    """The first of `count` neighbouring ports that are free at `address`."""
    while True:
        first = _random.randrange(LOWEST, HIGHEST)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server((address, port)))
            return first
