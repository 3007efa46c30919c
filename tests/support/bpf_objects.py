"""Programs and maps in the kernel, by bpf(2): what a service leaves behind."""

import ctypes
import os
import struct

from runtime.bpf.system_call import _bpf_syscall

_NEXT_PROGRAM, _NEXT_MAP = 11, 12
_PROGRAM_DESCRIPTOR, _MAP_DESCRIPTOR, _INFO = 13, 14, 15
_PROGRAM_NAME_AT, _MAP_NAME_AT = 64, 24  # in struct bpf_prog_info and bpf_map_info


def program_names() -> dict[int, str]:
    """Return every loaded program's name (at most 15 characters) by its id."""
    return _names(_NEXT_PROGRAM, _PROGRAM_DESCRIPTOR, _PROGRAM_NAME_AT)


def map_names() -> dict[int, str]:
    """Return every map's name by its id."""
    return _names(_NEXT_MAP, _MAP_DESCRIPTOR, _MAP_NAME_AT)


def _names(following: int, open_by_id: int, name_at: int) -> dict[int, str]:
    found = {}
    at = 0
    while True:
        try:
            _, after = _bpf_syscall(following, struct.pack("=III", at, 0, 0))
        except FileNotFoundError:
            return found
        (at,) = struct.unpack_from("=I", after, 4)
        try:
            descriptor, _ = _bpf_syscall(open_by_id, struct.pack("=III", at, 0, 0))
        except FileNotFoundError:  # freed meanwhile
            continue
        try:
            found[at] = _name_of(descriptor, name_at)
        finally:
            os.close(descriptor)


def _name_of(descriptor: int, at: int) -> str:
    info = ctypes.create_string_buffer(256)
    _bpf_syscall(_INFO, struct.pack("=IIQ", descriptor, len(info), ctypes.addressof(info)))
    return info.raw[at : at + 16].partition(b"\0")[0].decode()
