"""Run a loaded program on a packet (BPF_PROG_TEST_RUN)."""

import ctypes

from runtime.bpf.library import load_libbpf

_GROWTH = 256  # bytes by which a program may lengthen the packet


class _Options(ctypes.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("data_in", ctypes.c_char_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("context_in", ctypes.c_char_p),
        ("context_out", ctypes.c_void_p),
        ("context_size_in", ctypes.c_uint32),
        ("context_size_out", ctypes.c_uint32),
        ("returned", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


def run_once(program: int, packet: bytes, context: bytes = b"") -> tuple[int, bytes, bytes]:
    """Return the program's result, the packet afterwards, and the context afterwards.

    `context` is a struct __sk_buff (192 bytes), or nothing.
    """
    data = ctypes.create_string_buffer(len(packet) + _GROWTH)
    after = ctypes.create_string_buffer(max(1, len(context)))
    options = _make_options(packet, 1)
    options.data_out, options.data_size_out = ctypes.addressof(data), len(data)
    if context:
        options.context_in, options.context_size_in = context, len(context)
        options.context_out, options.context_size_out = ctypes.addressof(after), len(context)
    load_libbpf().bpf_prog_test_run_opts(program, ctypes.byref(options))
    return options.returned, data.raw[: options.data_size_out], after.raw if context else b""


def run_often(program: int, packet: bytes, times: int) -> tuple[int, float]:
    """Run on one packet, which the program must not change; return its result and the nanoseconds per run."""
    options = _make_options(packet, times)
    load_libbpf().bpf_prog_test_run_opts(program, ctypes.byref(options))
    return options.returned, float(options.duration)


def _make_options(packet: bytes, times: int) -> _Options:
    return _Options(size=ctypes.sizeof(_Options), data_in=packet, data_size_in=len(packet), repeat=times)
