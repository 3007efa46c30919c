"""Programs and maps in the kernel, by libbpf: what a service leaves behind."""

import ctypes
import os

from runtime.bpf.library import load_libbpf

_PROGRAM_NAME_AT, _MAP_NAME_AT = 64, 24  # in struct bpf_prog_info and bpf_map_info


def program_names() -> dict[int, str]:
    """Return every loaded program's name (at most 15 characters) by its id."""
    return _names("prog", _PROGRAM_NAME_AT)


def map_names() -> dict[int, str]:
    """Return every map's name by its id."""
    return _names("map", _MAP_NAME_AT)


def _names(kind: str, name_at: int) -> dict[int, str]:
    found = {}
    at = ctypes.c_uint32(0)
    while True:
        try:
            getattr(load_libbpf(), f"bpf_{kind}_get_next_id")(at.value, ctypes.byref(at))
        except FileNotFoundError:
            return found
        try:
            descriptor = getattr(load_libbpf(), f"bpf_{kind}_get_fd_by_id")(at.value)
        except FileNotFoundError:  # freed meanwhile
            continue
        try:
            found[at.value] = _name_of(descriptor, name_at)
        finally:
            os.close(descriptor)


def _name_of(descriptor: int, at: int) -> str:
    info = ctypes.create_string_buffer(256)
    size = ctypes.c_uint32(len(info))
    load_libbpf().bpf_obj_get_info_by_fd(descriptor, info, ctypes.byref(size))
    return info.raw[at : at + 16].partition(b"\0")[0].decode()
