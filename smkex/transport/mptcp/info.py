"""What the kernel says about an MPTCP connection: token, fallback, and per subflow addresses and bytes.

Reading needs no privilege. `getsockopt` goes through ctypes, since the buffers of SOL_MPTCP carry their own
sizes inwards, which `socket.getsockopt` cannot pass.
"""

import ctypes
import errno
import ipaddress
import os
import socket
import struct
from dataclasses import dataclass

IPPROTO_MPTCP = 262
SOL_MPTCP = 284
_MPTCP_INFO, _MPTCP_TCPINFO, _MPTCP_SUBFLOW_ADDRS = 1, 2, 3
_FLAG_FALLBACK, _FLAG_REMOTE_KEY_RECEIVED = 1, 2
_MAX_SUBFLOWS = 8
_NOT_MPTCP = (errno.EOPNOTSUPP, errno.ENOPROTOOPT)

TCP_ESTABLISHED, TCP_CLOSE = 1, 7

_HEADER = struct.Struct("=IIII")  # struct mptcp_subflow_data
_TCP_INFO_SIZE = 216  # struct tcp_info up to and with tcpi_bytes_retrans (Linux 4.19)
_ADDRESSES_SIZE = 256  # two struct sockaddr_storage

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class FourTuple:
    """Addresses as text, ports as numbers, from this end's point of view."""

    local: str
    local_port: int
    remote: str
    remote_port: int

    def __str__(self) -> str:
        return f"{self.local}:{self.local_port} -> {self.remote}:{self.remote_port}"


@dataclass(frozen=True, slots=True)
class SubflowInfo:
    """One subflow. `bytes_sent` counts every byte once, also those that were sent again.

    `unanswered` counts retransmissions or keep-alive probes in a row.
    """

    addresses: FourTuple
    state: int
    bytes_sent: int
    bytes_unsent: int
    bytes_acked: int
    bytes_received: int
    rtt_us: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """A snapshot of a connection. `fell_back` is true for plain TCP, without further facts."""

    token: int
    fell_back: bool
    subflows: tuple[SubflowInfo, ...]


def connection_info(sock: socket.socket) -> ConnectionInfo:
    """Read all three options; addresses are read before and after the counters so that they belong together.

    Raises OSError where the socket is no longer connected.
    """
    try:
        token, fell_back = _token_and_fallback(sock)
        if fell_back:
            return ConnectionInfo(0, True, ())
        while True:
            before = _read_records(sock, _MPTCP_SUBFLOW_ADDRS, _ADDRESSES_SIZE)
            counters = _read_records(sock, _MPTCP_TCPINFO, _TCP_INFO_SIZE)
            if before == _read_records(sock, _MPTCP_SUBFLOW_ADDRS, _ADDRESSES_SIZE) and len(before) == len(
                counters
            ):
                break
    except OSError as error:
        if error.errno in _NOT_MPTCP:
            return ConnectionInfo(0, True, ())
        raise
    return ConnectionInfo(token, False, tuple(map(_parse_subflow, before, counters)))


def speaks_mptcp(sock: socket.socket) -> bool:
    """Tell an accepted (or connected) MPTCP connection from plain TCP, which the same listener accepts."""
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) != IPPROTO_MPTCP:
        return False
    try:
        return not _token_and_fallback(sock)[1]
    except OSError as error:
        if error.errno in _NOT_MPTCP:
            return False
        raise


def _token_and_fallback(sock: socket.socket) -> tuple[int, bool]:
    buffer = ctypes.create_string_buffer(128)
    _read_option(sock, _MPTCP_INFO, buffer)
    flags, token = struct.unpack_from("=II", buffer, 8)
    return token, bool(flags & _FLAG_FALLBACK) or not flags & _FLAG_REMOTE_KEY_RECEIVED


def _read_records(sock: socket.socket, option: int, size: int) -> list[bytes]:
    buffer = ctypes.create_string_buffer(_HEADER.size + _MAX_SUBFLOWS * size)
    _HEADER.pack_into(buffer, 0, _HEADER.size, 0, 0, size)
    _read_option(sock, option, buffer)
    _, count, _, _ = _HEADER.unpack_from(buffer, 0)
    # More than the buffer holds is far more than can be right: the caller sees too many subflows either way.
    return [buffer.raw[_HEADER.size + i * size :][:size] for i in range(min(count, _MAX_SUBFLOWS))]


def _read_option(sock: socket.socket, option: int, buffer: ctypes.Array[ctypes.c_char]) -> None:
    length = ctypes.c_uint32(len(buffer))
    if _libc.getsockopt(sock.fileno(), SOL_MPTCP, option, buffer, ctypes.byref(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _parse_subflow(addresses: bytes, counters: bytes) -> SubflowInfo:
    local, local_port = _parse_sockaddr(addresses[:128])
    remote, remote_port = _parse_sockaddr(addresses[128:])
    (rtt_us,) = struct.unpack_from("=I", counters, 68)
    acked, received = struct.unpack_from("=QQ", counters, 120)
    (unsent,) = struct.unpack_from("=I", counters, 144)
    sent, sent_again = struct.unpack_from("=QQ", counters, 200)
    return SubflowInfo(
        FourTuple(local, local_port, remote, remote_port),
        state=counters[0],
        bytes_sent=sent - sent_again,
        bytes_unsent=unsent,
        bytes_acked=acked,
        bytes_received=received,
        rtt_us=rtt_us,
        unanswered=max(counters[2], counters[3]),
    )


def _parse_sockaddr(raw: bytes) -> tuple[str, int]:
    (family,) = struct.unpack_from("=H", raw)
    (port,) = struct.unpack_from("!H", raw, 2)
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(raw[4:8])), port
    address = ipaddress.IPv6Address(raw[8:24])
    return str(address.ipv4_mapped or address), port
