"""Compile the programs with bcc, load them, and attach them to a control group. The only module here that imports bcc.

An attachment belongs to the control group, not to a process: while the group exists its processes are captured, also
when no process serves the entrance any more.
"""

from pathlib import Path
from typing import Any

from runtime.bpf.headers import own_headers

SOURCE = Path(__file__).parents[1] / "c" / "capture.c"
MAPS = ("settings", "captured", "resolvers", "handed_over")
ALLOW_MULTI = 2  # beside what others attach to this group, such as systemd (linux/bpf.h: BPF_F_ALLOW_MULTI)
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


class CaptureUnavailable(Exception):
    """The programs cannot be compiled, loaded or attached here; the text says why."""


def load_and_attach(group: int) -> tuple[list[int], Any]:
    """Attach to the control group; return descriptors of `MAPS`, valid while the second value lives.

    Raises `CaptureUnavailable`, `HeadersMissing`.
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
            for kind, programs in kinds:
                for name, attach_type in programs.items():
                    program = owner.load_func(name.encode(), kind, attach_type=attach_type)
                    owner.attach_func(program, group, attach_type, ALLOW_MULTI)
        except Exception as error:  # bcc raises bare Exceptions
            raise CaptureUnavailable(str(error) or "bcc could not compile the programs") from error
    return [owner[name.encode()].map_fd for name in MAPS], owner
