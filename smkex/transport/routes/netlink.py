"""Requests to the kernel over netlink, encoded by hand.

The steering of a connection is a handful of tiny messages on the critical path of a handshake. Through a general
library one costs 1.0 to 1.6 ms of Python, through this file some tens of microseconds.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator

NETLINK_SOCK_DIAG = 4
NETLINK_GENERIC = 16
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_SOL_NETLINK, _ADD_MEMBERSHIP, _CAP_ACK, _EXT_ACK = 270, 1, 10, 11
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")


def encode_attribute(kind: int, value: bytes) -> bytes:
    raw = _ATTRIBUTE.pack(4 + len(value), kind) + value
    return raw + bytes(-len(raw) % 4)


def encode_nested(kind: int, *attributes: bytes) -> bytes:
    return encode_attribute(kind | _NESTED, b"".join(attributes))


def parse_attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, value) of each attribute; stops at the first malformed one."""
    at = 0
    while at + 4 <= len(raw):
        length, kind = _ATTRIBUTE.unpack_from(raw, at)
        if length < 4 or at + length > len(raw):
            return
        yield kind & _TYPE_MASK, raw[at + 4 : at + length]
        at += (length + 3) & ~3


def parse_messages(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (type, sequence, body) of each netlink message of a datagram."""
    at = 0
    while at + _HEADER.size <= len(raw):
        length, kind, _, sequence, _ = _HEADER.unpack_from(raw, at)
        if length < _HEADER.size:
            return
        yield kind, sequence, raw[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


class NetlinkSocket:
    """One netlink socket with one request under way at a time. It belongs to the namespace it was opened in."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.settimeout(2.0)
        self._sequence = 0

    def request(self, kind: int, body: bytes, *, acknowledged: bool = True) -> bytes:
        """Send one request; return the body of the answer, or nothing for a bare acknowledgement.

        Raises OSError with the kernel's own words, PermissionError among them.
        """
        self._sequence += 1
        flags = NLM_F_REQUEST | (NLM_F_ACK if acknowledged else 0)
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
        while True:
            for answer, sequence, content in parse_messages(self._socket.recv(65536)):
                if sequence != self._sequence:
                    continue  # the late answer to a request that was given up
                if answer != _NLMSG_ERROR:
                    return content
                _raise_if_error(content)
                return b""

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """Ask for everything of a kind; yield the body of each answer. Raises as `request`."""
        self._sequence += 1
        flags = NLM_F_REQUEST | NLM_F_DUMP
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
        while True:
            for answer, sequence, content in parse_messages(self._socket.recv(65536)):
                if sequence != self._sequence:
                    continue
                if answer == _NLMSG_DONE:
                    return
                if answer == _NLMSG_ERROR:
                    _raise_if_error(content)
                    return
                yield content

    def join_group(self, group: int) -> None:
        """Become a listener: from now on this socket is for `receive_waiting` only."""
        self._socket.setblocking(False)
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def receive_waiting(self) -> bytes:
        """Return one datagram that has come, or nothing."""
        while True:
            try:
                return self._socket.recv(65536)
            except BlockingIOError:
                return b""
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # some were lost, the rest is still there
                    raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


def _raise_if_error(content: bytes) -> None:
    (negative,) = struct.unpack_from("=i", content)
    if negative == 0:
        return
    # struct nlmsgerr is the error and the request's header; the kernel's text follows as attribute 1.
    text = next((v.rstrip(b"\0").decode() for k, v in parse_attributes(content[20:]) if k == 1), "")
    raise OSError(-negative, text or os.strerror(-negative))


def resolve_family(sock: NetlinkSocket, name: str) -> tuple[int, dict[str, int]]:
    """Look up a generic netlink family: (its number, its multicast groups). Raises FileNotFoundError."""
    get_family, version, family_name, controller = 3, 1, 2, 16
    body = struct.pack("=BBH", get_family, version, 0) + encode_attribute(family_name, name.encode() + b"\0")
    answer = sock.request(controller, body, acknowledged=False)
    number, groups = 0, {}
    for kind, value in parse_attributes(answer[4:]):
        if kind == 1:
            (number,) = struct.unpack_from("=H", value)
        elif kind == 7:
            for _, group in parse_attributes(value):
                fields = dict(parse_attributes(group))
                groups[fields[1].rstrip(b"\0").decode()] = struct.unpack("=I", fields[2])[0]
    return number, groups
