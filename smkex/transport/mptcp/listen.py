"""The listening side of MPTCP: one socket takes MPTCP and plain TCP, and, on a locator's port, the joins too."""

import socket
from collections.abc import Callable

from smkex.transport.mptcp.info import IPPROTO_MPTCP, FourTuple, speaks_mptcp

__all__ = ["match_joins_at", "mptcp_listener", "speaks_mptcp", "tcp_listener"]

_KIND = socket.SOCK_STREAM | socket.SOCK_NONBLOCK


def mptcp_listener(
    address: str, port: int, *, backlog: int = 1024, reuse_port: bool = False
) -> socket.socket:
    """Listen, non-blocking. Where the kernel has no MPTCP the socket takes plain TCP only.

    What `accept` returns may be either: see `speaks_mptcp`. Joins to a connection do not appear in `accept`; the
    kernel adds them to their connection, while a process follows the path manager's events.
    """
    try:
        listener = socket.socket(_address_family(address), _KIND, IPPROTO_MPTCP)
    except OSError:
        listener = socket.socket(_address_family(address), _KIND)
    return _start_listening(listener, address, port, backlog, reuse_port)


def tcp_listener(address: str, port: int, *, backlog: int = 1024) -> socket.socket:
    """Listen, non-blocking, for plain TCP alone."""
    return _start_listening(socket.socket(_address_family(address), _KIND), address, port, backlog, False)


def _address_family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _start_listening(
    listener: socket.socket, address: str, port: int, backlog: int, reuse_port: bool
) -> socket.socket:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, port))
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def match_joins_at(vip: str, locator_port: int) -> Callable[[FourTuple], bool]:
    """For `PinnedConnection.expect_join` at an edge: the peer has joined at this locator of ours."""
    return lambda found: (found.local, found.local_port) == (vip, locator_port)
