"""Links, which attach XDP programs to interfaces."""

import ctypes
from dataclasses import dataclass

from runtime.bpf.library import load_libbpf

_XDP = 37  # enum bpf_attach_type
_DRIVER_MODE = 1 << 2  # XDP_FLAGS_DRV_MODE


class _CreateOptions(ctypes.Structure):
    """The first members of struct bpf_link_create_opts: `size` says how many."""

    _fields_ = (("size", ctypes.c_size_t), ("flags", ctypes.c_uint32), ("unused", ctypes.c_uint32))


class _Info(ctypes.Structure):
    """struct bpf_link_info of an XDP link."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("program_id", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("index", ctypes.c_uint32),
        ("more", ctypes.c_uint8 * 44),
    )


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """The program of a link, and its interface: 0 if that is gone."""

    program_id: int
    index: int


def link_xdp(program: int, index: int) -> int:
    """Attach an XDP program to an interface's driver while the link, whose descriptor is returned, lives.

    Raises OSError: EBUSY or EEXIST where another program is, EOPNOTSUPP where the driver has no XDP.
    """
    options = _CreateOptions(ctypes.sizeof(_CreateOptions), _DRIVER_MODE)
    return int(load_libbpf().bpf_link_create(program, index, _XDP, ctypes.byref(options)))


def update_link(link: int, program: int) -> None:
    """Put another program in a link's place: each packet meets one of them. ENOLINK: its interface is gone."""
    load_libbpf().bpf_link_update(link, program, None)


def link_info(link: int) -> LinkInfo:
    """Return what the kernel knows of an XDP link."""
    info = _Info()
    size = ctypes.c_uint32(ctypes.sizeof(info))
    load_libbpf().bpf_obj_get_info_by_fd(link, ctypes.byref(info), ctypes.byref(size))
    return LinkInfo(info.program_id, info.index)
