"""TCP Fast Open at the edge's locator (RFC 7413): a secondary subflow carries its ClientNonce in the SYN.

All edges hold the same keys, so a cookie is valid at every edge. The agent writes them to a file of one or two lines of
32 hexadecimal digits: the key that makes cookies, and the one before it, whose cookies remain valid. Without the file
there is no Fast Open. An attacker with the keys can make edges accept spoofed SYNs only: the handshake authenticates.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from node.state.fast_open_keys import parse_keys

log = logging.getLogger("edge.ingress.fast_open")

TCP_FASTOPEN_KEY = 33  # linux/tcp.h
PENDING_LIMIT = 256  # maximum connections with data in the SYN whose handshake is not complete
POLL_INTERVAL = 1.0  # seconds between checks for a new file
KERNEL_SETTING = Path("/proc/sys/net/ipv4/tcp_fastopen")
SERVER_ENABLED = 2


def encode_keys(text: str) -> bytes:
    """Return one or two keys of 16 bytes as the kernel expects them. Raises `ValueError`."""
    return b"".join(parse_keys(text))


def kernel_allows_fast_open() -> bool:
    """Return whether `net.ipv4.tcp_fastopen` allows listeners to accept data in SYNs."""
    try:
        return bool(int(KERNEL_SETTING.read_text()) & SERVER_ENABLED)
    except (OSError, ValueError):
        return False


def apply_keys(listening: socket.socket, keys: bytes) -> None:
    """Enable Fast Open with `keys` on a listening socket."""
    listening.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_KEY, keys)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, PENDING_LIMIT)


async def follow_key_file(listening: socket.socket, path: Path, read_text: Callable[[], str]) -> None:
    """Apply the keys in `path` to `listening` at each change, until cancelled. Invalid keys are not applied.

    `read_text` returns the content, or raises OSError or `ValueError` where it is not to be believed.
    """
    if _file_version(path) is None:
        log.info("no Fast Open until %s exists", path)
    seen = None
    while True:
        version = _file_version(path)
        if version is not None and version != seen:
            if seen is None and not kernel_allows_fast_open():
                log.warning("no Fast Open: net.ipv4.tcp_fastopen lacks bit %d", SERVER_ENABLED)
            seen = version
            try:
                apply_keys(listening, encode_keys(read_text()))
            except (OSError, ValueError) as error:
                unknown = isinstance(error, OSError) and error.errno == errno.ENOPROTOOPT
                why = "listeners of MPTCP accept keys from Linux 6.2 on" if unknown else error
                log.warning("no Fast Open with the keys in %s: %s", path, why)
        await asyncio.sleep(POLL_INTERVAL)


def _file_version(path: Path) -> tuple[int, int] | None:
    """Return what distinguishes one version of the file from another; None where it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
