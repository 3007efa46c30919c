"""How one subflow is prioritised, and its mark: what only sock_diag tells.

Needs CAP_NET_ADMIN for the mark, and before Linux 6.15 for the rest.
"""

import ipaddress
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from smkex.transport.mptcp.errors import MissingSubflow
from smkex.transport.mptcp.info import FourTuple
from smkex.transport.routes.netlink import NETLINK_SOCK_DIAG, NetlinkSocket, parse_attributes

_SOCK_DIAG_BY_FAMILY = 20
_MARK, _ULP_INFO = 15, 19
_ULP_INFO_MPTCP = 3
_SUBFLOW_FLAGS = 8
_BACKUP_REMOTE, _BACKUP_LOCAL, _FULLY_ESTABLISHED = 1 << 4, 1 << 5, 1 << 6
_TIME_WAIT, _CLOSE = 6, 7
_ALL_STATES = 0xFFFFFFFF
_WITH_INFO = 1 << 1  # asks for INET_DIAG_INFO, without which ULP_INFO does not come either
_ANY_COOKIE = b"\xff" * 8
_INET_DIAG_MSG_SIZE = 72


@dataclass(frozen=True, slots=True)
class SubflowState:
    """`backup_*`: who asked not to use it. A join carries data only when `fully_established` (fourth ACK)."""

    backup_here: bool
    backup_at_peer: bool
    fully_established: bool
    mark: int


class SubflowDiag:
    """Asks for one subflow by its addresses. Raises MissingSubflow where there is none.

    A socket that is bound to an interface is only found under it: `interfaces` has the index for a local address.
    """

    def __init__(self, interfaces: Mapping[str, int] | None = None) -> None:
        self._interfaces = interfaces or {}
        self._socket = NetlinkSocket(NETLINK_SOCK_DIAG)

    def inspect(self, addresses: FourTuple) -> SubflowState:
        return _parse_state(dict(parse_attributes(self._ask(addresses)[_INET_DIAG_MSG_SIZE:])))

    def is_open(self, addresses: FourTuple) -> bool:
        """Tell whether it may still send by itself: neither gone nor in TIME_WAIT."""
        try:
            return self._ask(addresses)[1] not in (_TIME_WAIT, _CLOSE)
        except MissingSubflow:
            return False

    def _ask(self, addresses: FourTuple) -> bytes:
        local, remote = ipaddress.ip_address(addresses.local), ipaddress.ip_address(addresses.remote)
        family = socket.AF_INET if local.version == 4 else socket.AF_INET6
        request = (
            struct.pack("=BBBxI", family, socket.IPPROTO_TCP, _WITH_INFO, _ALL_STATES)
            + struct.pack("!HH", addresses.local_port, addresses.remote_port)
            + local.packed.ljust(16, b"\0")
            + remote.packed.ljust(16, b"\0")
            + struct.pack("=I", self._interfaces.get(addresses.local, 0))
            + _ANY_COOKIE
        )
        try:
            return self._socket.request(_SOCK_DIAG_BY_FAMILY, request, acknowledged=False)
        except FileNotFoundError:
            raise MissingSubflow(f"there is no subflow {addresses}") from None

    def close(self) -> None:
        self._socket.close()


def _parse_state(fields: dict[int, bytes]) -> SubflowState:
    mark = struct.unpack("=I", fields[_MARK])[0] if _MARK in fields else 0
    mptcp = dict(
        parse_attributes(dict(parse_attributes(fields.get(_ULP_INFO, b""))).get(_ULP_INFO_MPTCP, b""))
    )
    flags = struct.unpack("=I", mptcp[_SUBFLOW_FLAGS])[0] if _SUBFLOW_FLAGS in mptcp else 0
    return SubflowState(
        backup_here=bool(flags & _BACKUP_LOCAL),
        backup_at_peer=bool(flags & _BACKUP_REMOTE),
        fully_established=bool(flags & _FULLY_ESTABLISHED),
        mark=mark,
    )
