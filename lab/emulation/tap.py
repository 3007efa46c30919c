"""A TAP device in another network namespace, held by this process."""

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 0x01, 0x02, 0x04
HEADER = 10  # bytes of struct virtio_net_hdr before each frame
FRAME_MOST = HEADER + 14 + 65535

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside_namespace(namespace: Path) -> Iterator[None]:
    """Be in a network namespace for a while; sockets and devices made there stay there. Raises `OSError`."""
    with open("/proc/thread-self/ns/net") as home, namespace.open() as there:
        _enter_namespace(there.fileno())
        try:
            yield
        finally:
            _enter_namespace(home.fileno())


def _enter_namespace(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def open_tap(name: str, namespace: Path) -> int:
    """Make a TAP device; it is there while the descriptor is open. Raises `OSError`."""
    with inside_namespace(namespace):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            request = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
            fcntl.ioctl(descriptor, TUNSETIFF, request)
        except OSError:
            os.close(descriptor)
            raise
    return descriptor


def set_offload(descriptor: int, on: bool) -> None:
    """With offload frames of up to 64 KB come uncut; without, as they would be on a wire."""
    fcntl.ioctl(descriptor, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 if on else 0)
