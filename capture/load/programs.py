"""Compile the programs with bcc and load them. The only module here that imports bcc."""

from pathlib import Path
from typing import Any

from runtime.bpf.headers import own_headers

SOURCE = Path(__file__).parents[1] / "c" / "capture.c"
MAPS = ("settings", "excluded", "captured", "resolvers", "handed_over")
# attach types of linux/bpf.h; each program is loaded for the one it is attached to
SOCKET_CALLS = {
    "capture_connect4": 10,
    "capture_connect6": 11,
    "capture_sendmsg4": 14,
    "capture_sendmsg6": 15,
    "show_sender4": 19,
    "show_sender6": 20,
    "show_peer4": 29,
    "show_peer6": 30,
}
SOCKET_CREATION = {"refuse_mptcp": 2}
SOCKET_OPERATIONS = {"hand_over": 3}
ATTACH_TYPES = {**SOCKET_CALLS, **SOCKET_CREATION, **SOCKET_OPERATIONS}


class CaptureUnavailable(Exception):
    """The programs cannot be compiled, loaded, pinned or attached here; the text says why."""


def compile_and_load() -> tuple[list[int], Any]:
    """Return descriptors of `MAPS` and then of the programs, as `ATTACH_TYPES` has them.

    They are valid while the second value lives. Raises `CaptureUnavailable`, `HeadersMissing`.
    """
    try:
        from bcc import BPF
    except ImportError:
        raise CaptureUnavailable("Python's bcc is missing: apt-get install python3-bpfcc") from None
    kinds = (
        (BPF.CGROUP_SOCK_ADDR, SOCKET_CALLS),
        (BPF.CGROUP_SOCK, SOCKET_CREATION),
        (BPF.SOCK_OPS, SOCKET_OPERATIONS),
    )
    with own_headers():
        try:
            owner = BPF(text=SOURCE.read_bytes(), cflags=["-Wno-everything"])
            programs = [
                owner.load_func(name.encode(), kind, attach_type=attach_type).fd
                for kind, named in kinds
                for name, attach_type in named.items()
            ]
        except Exception as error:  # bcc raises bare Exceptions
            raise CaptureUnavailable(str(error) or "bcc could not compile the programs") from error
    return [*(owner[name.encode()].map_fd for name in MAPS), *programs], owner
