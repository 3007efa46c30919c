"""The access log as datagrams to a unix socket: those of a shipper, or journald's."""

import errno
import socket
import time
from collections.abc import Callable

from edge.telemetry.access_log.writer import LinesLost

SEND_SECONDS = 0.5  # seconds that a batch may wait for a receiver that takes nothing
CONNECT_SECONDS = 1.0  # seconds between attempts to reach a receiver that is gone
JOURNAL_SOCKET = "/run/systemd/journal/socket"


def journal_entry(line: bytes) -> bytes:
    """Return one entry of journald's native protocol."""
    return b"PRIORITY=6\nSYSLOG_IDENTIFIER=sennit-access\nMESSAGE=" + line


def plain_datagram(line: bytes) -> bytes:
    """Return the line without its end: a datagram has one of its own."""
    return line[:-1]


class SocketSink:
    """Sends each line as one datagram, encoded by `encode`. The receiver may start, restart or hang at any time."""

    def __init__(self, path: str, encode: Callable[[bytes], bytes] = plain_datagram) -> None:
        self._path = path
        self._encode = encode
        self._socket: socket.socket | None = None
        self._connect_at = 0.0
        self.remedy = f"check what receives at {path}"

    def reopen(self) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def write_batches(self, batches: list[bytes]) -> None:
        deadline = time.monotonic() + SEND_SECONDS
        too_long = 0
        datagrams = b"".join(batches).splitlines(keepends=True)
        for at, line in enumerate(datagrams):
            try:
                self._send_datagram(self._encode(line), deadline)
            except TimeoutError as error:
                raise LinesLost("reader-behind", too_long + len(datagrams) - at, error) from None
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    too_long += 1
                    continue
                self.close()
                raise LinesLost("write-failed", too_long + len(datagrams) - at, error) from None
        if too_long:
            raise LinesLost("too-long", too_long, "a line exceeds a datagram")

    def _send_datagram(self, datagram: bytes, deadline: float) -> None:
        connected = self._connected()
        # 0 would be a socket that does not wait at all: it gives another error
        connected.settimeout(max(0.001, deadline - time.monotonic()))
        connected.send(datagram)

    def _connected(self) -> socket.socket:
        if self._socket is not None:
            return self._socket
        now = time.monotonic()
        if now < self._connect_at:
            raise ConnectionRefusedError("the receiver was not there a moment ago")
        self._connect_at = now + CONNECT_SECONDS
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            made.connect(self._path)
        except OSError:
            made.close()
            raise
        self._socket = made
        return made
