"""Call libbpf (Debian's libbpf1, 1.1 or later, which iproute2 depends on) by ctypes."""

import ctypes
import functools
import os
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from typing import Any

NAME = "libbpf.so.1"
PRINT = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)  # level, format, va_list

# Every function called, with its arguments: an address that ctypes took for an int would be cut to 32 bits.
_STATUS: dict[str, tuple[Any, ...]] = {  # of those that return a descriptor or 0, or a negative errno
    "bpf_map_create": (c_int, c_char_p, c_uint32, c_uint32, c_uint32, c_void_p),
    "bpf_map_lookup_elem": (c_int, c_char_p, c_void_p),
    "bpf_map_update_elem": (c_int, c_char_p, c_char_p, ctypes.c_uint64),
    "bpf_map_delete_elem": (c_int, c_char_p),
    "bpf_map_get_next_key": (c_int, c_char_p, c_void_p),
    "bpf_map_update_batch": (c_int, c_char_p, c_char_p, POINTER(c_uint32), c_void_p),
    "bpf_obj_pin": (c_int, c_char_p),
    "bpf_obj_get": (c_char_p,),
    "bpf_obj_get_info_by_fd": (c_int, c_void_p, POINTER(c_uint32)),
    "bpf_link_create": (c_int, c_int, c_int, c_void_p),
    "bpf_link_update": (c_int, c_int, c_void_p),
    "bpf_prog_attach_opts": (c_int, c_int, c_int, c_void_p),
    "bpf_prog_get_next_id": (c_uint32, POINTER(c_uint32)),
    "bpf_prog_get_fd_by_id": (c_uint32,),
    "bpf_map_get_next_id": (c_uint32, POINTER(c_uint32)),
    "bpf_map_get_fd_by_id": (c_uint32,),
    "bpf_prog_detach2": (c_int, c_int, c_int),
    "bpf_prog_query": (c_int, c_int, c_uint32, c_void_p, c_void_p, POINTER(c_uint32)),
    "bpf_prog_test_run_opts": (c_int, c_void_p),
    "libbpf_num_possible_cpus": (),
    "bpf_object__load": (c_void_p,),
    "bpf_object__find_map_fd_by_name": (c_void_p, c_char_p),
    "bpf_program__fd": (c_void_p,),
    "bpf_program__set_autoload": (c_void_p, c_bool),
}
_OTHERS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "bpf_object__open_file": (c_void_p, (c_char_p, c_void_p)),
    "bpf_object__close": (None, (c_void_p,)),
    "bpf_object__next_program": (c_void_p, (c_void_p, c_void_p)),
    "bpf_program__name": (c_char_p, (c_void_p,)),
    "bpf_program__insns": (c_void_p, (c_void_p,)),
    "bpf_program__insn_cnt": (c_size_t, (c_void_p,)),
    "libbpf_set_print": (c_void_p, (PRINT,)),
}


class LibbpfMissing(OSError):
    """libbpf is not installed."""


@functools.cache
def load_libbpf() -> Any:
    """Return the library. Raises `LibbpfMissing`."""
    try:
        library = ctypes.CDLL(NAME, use_errno=True)
    except OSError:
        raise LibbpfMissing(f"{NAME} is missing: apt-get install libbpf1") from None
    for name, arguments in _STATUS.items():
        function = getattr(library, name)
        function.argtypes, function.restype, function.errcheck = arguments, c_int, _raise_error
    for name, (result, arguments) in _OTHERS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library


def _raise_error(result: int, _function: object, _arguments: object) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
