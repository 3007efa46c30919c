"""TCP Fast Open at the edge's locator (RFC 7413): a secondary subflow brings its ClientNonce in the SYN.

All edges hold the same keys, so that a cookie is good wherever the address leads. They come from a file of one or
two lines of 32 hexadecimal digits: the key that makes cookies, and the one before it, whose cookies still count. The
agent writes it; without it there is no Fast Open.
Whoever learns them can make edges accept spoofed SYNs, nothing more: a session proves itself afterwards.
"""

import asyncio
import errno
import logging
import socket
from pathlib import Path

log = logging.getLogger("edge.ingress.fast_open")

TCP_FASTOPEN_KEY = 33  # linux/tcp.h
KEY = 16
QUEUE = 256  # connections at most whose SYN brought data and whose client has not answered
NAME = "fast-open.keys"
LOOK_EVERY = 1.0  # seconds between looks for a new file
KERNEL_SETTING = Path("/proc/sys/net/ipv4/tcp_fastopen")
SERVER_ENABLED = 2


def read_keys(path: Path) -> bytes:
    """Return one or two keys, 16 bytes each, as the kernel takes them. Raises OSError, `ValueError`."""
    keys = [bytes.fromhex(line) for line in path.read_text().split()]
    if not 1 <= len(keys) <= 2 or any(len(key) != KEY for key in keys):
        raise ValueError("one or two lines of 32 hexadecimal digits are expected")
    return b"".join(keys)


def allowed_by_kernel() -> bool:
    """Whether `net.ipv4.tcp_fastopen` lets listeners take data in SYNs."""
    try:
        return bool(int(KERNEL_SETTING.read_text()) & SERVER_ENABLED)
    except (OSError, ValueError):
        return False


def apply(listening: socket.socket, keys: bytes) -> None:
    """Take Fast Open on a listening socket under `keys`."""
    listening.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_KEY, keys)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, QUEUE)


async def follow(listening: socket.socket, path: Path) -> None:
    """Keep `listening` under the keys of `path`, as they change, until cancelled. Bad keys change nothing."""
    if _version(path) is None:
        log.info("no Fast Open until %s is there", path)
    seen = None
    while True:
        version = _version(path)
        if version is not None and version != seen:
            if seen is None and not allowed_by_kernel():
                log.warning("no Fast Open: net.ipv4.tcp_fastopen lacks %d here", SERVER_ENABLED)
            seen = version
            try:
                apply(listening, read_keys(path))
            except (OSError, ValueError) as error:
                unknown = isinstance(error, OSError) and error.errno == errno.ENOPROTOOPT
                why = "listeners of MPTCP take them from Linux 6.2 on" if unknown else error
                log.warning("no Fast Open with the keys in %s: %s", path, why)
        await asyncio.sleep(LOOK_EVERY)


def _version(path: Path) -> tuple[int, int] | None:
    """Tell one state of the file from another; None where it is not to be had."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
