"""Attach programs to control groups."""

import ctypes

from runtime.bpf.library import load_libbpf

_ALLOW_MULTI, _REPLACE = 2, 4  # how programs are attached to a control group
_QUERY_LIMIT = 64  # programs of one kind at one control group (BPF_CGROUP_MAX_PROGS)


class _AttachOptions(ctypes.Structure):
    """The first members of struct bpf_prog_attach_opts: `size` says how many."""

    _fields_ = (("size", ctypes.c_size_t), ("flags", ctypes.c_uint32), ("replaced", ctypes.c_int))


class _Identity(ctypes.Structure):
    """The first members of struct bpf_prog_info."""

    _fields_ = (("type", ctypes.c_uint32), ("id", ctypes.c_uint32))


def attach_to_group(program: int, group: int, kind: int, replaced: int | None = None) -> None:
    """Attach to a control group beside the programs of others, or in the place of `replaced` without a gap."""
    flags = _ALLOW_MULTI if replaced is None else _ALLOW_MULTI | _REPLACE
    options = _AttachOptions(ctypes.sizeof(_AttachOptions), flags, replaced or 0)
    load_libbpf().bpf_prog_attach_opts(program, group, kind, ctypes.byref(options))


def detach_from_group(program: int, group: int, kind: int) -> None:
    load_libbpf().bpf_prog_detach2(program, group, kind)


def programs_at_group(group: int, kind: int) -> tuple[int, ...]:
    """Return the ids of the programs that are attached to this control group itself."""
    ids, count = (ctypes.c_uint32 * _QUERY_LIMIT)(), ctypes.c_uint32(_QUERY_LIMIT)
    load_libbpf().bpf_prog_query(group, kind, 0, None, ids, ctypes.byref(count))
    return tuple(ids[: count.value])


def program_id(program: int) -> int:
    """Return the kernel's id of a program."""
    info = _Identity()
    size = ctypes.c_uint32(ctypes.sizeof(info))
    load_libbpf().bpf_obj_get_info_by_fd(program, ctypes.byref(info), ctypes.byref(size))
    return int(info.id)
