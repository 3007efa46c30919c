"""Notice changes of links, addresses, routes, rules and tc by rtnetlink notifications; their content is not read."""

import socket

GROUPS = (1, 4, 5, 7, 8, 9, 11, 19)  # RTNLGRP_LINK, TC, and address, route and rule of IPv4 and IPv6
_MEMBERSHIP = sum(1 << group - 1 for group in GROUPS)
DATAGRAMS_LIMIT = 256  # read at one check


class NetlinkEvents:
    """A subscription to the kernel's notifications."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.bind((0, _MEMBERSHIP))

    def have_arrived(self) -> bool:
        """Return whether anything changed since the last call. An overrun (ENOBUFS) counts as a change."""
        arrived = False
        for _ in range(DATAGRAMS_LIMIT):
            try:
                self._socket.recv(1)
            except BlockingIOError:
                break
            except OSError:
                return True
            arrived = True
        return arrived

    def close(self) -> None:
        self._socket.close()
