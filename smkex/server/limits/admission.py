"""Admission limits for each client prefix, so that one network cannot take all of an edge.

A prefix is the usual allocation of one site or subscriber line: /24 in IPv4, /56 in IPv6.
"""

import contextlib
import functools
import socket
from ipaddress import IPv4Address, ip_address

from smkex.core.errors import Overloaded
from smkex.core.wire.messages import encode_abort

V4_BITS, V6_BITS = 24, 56
OVERLOADED_ABORT = encode_abort(Overloaded.code)


class PrefixLimiter:
    """Counts the places that each prefix holds, `limit` at most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[int, int] = {}

    def acquire(self, address: str) -> int | None:
        """Take a place; return the key to give to `release`, or None at the limit."""
        key = prefix_of(address)
        held = self._held.get(key, 0)
        if held >= self._limit:
            return None
        self._held[key] = held + 1
        return key

    def is_full(self, address: str) -> bool:
        return self._held.get(prefix_of(address), 0) >= self._limit

    def release(self, key: int) -> None:
        held = self._held[key] - 1
        if held:
            self._held[key] = held
        else:
            del self._held[key]

    def __len__(self) -> int:
        return len(self._held)


@functools.lru_cache(maxsize=4096)  # called four times for each session
def prefix_of(address: str) -> int:
    """Return the prefix of an address as a number; those of IPv4 and IPv6 are disjoint."""
    ip = ip_address(address.partition("%")[0])
    mapped = None if isinstance(ip, IPv4Address) else ip.ipv4_mapped
    if isinstance(ip, IPv4Address) or mapped is not None:
        return int(mapped or ip) >> (32 - V4_BITS)
    return (int(ip) >> (128 - V6_BITS)) | 1 << V6_BITS


def refuse_overloaded(connection: socket.socket) -> None:
    """Send Abort `overloaded` and close: one system call each, before anything is allocated for the client."""
    with contextlib.suppress(OSError):
        connection.send(OVERLOADED_ABORT, socket.MSG_DONTWAIT)
    connection.close()
