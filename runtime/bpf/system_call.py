"""bpf(2) without bcc: pinned maps, links, and test runs of programs."""

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SYSCALL = {"x86_64": 321, "aarch64": 280}
_MAP_CREATE, _UPDATE_BATCH = 0, 26
ARRAY, HASH = 2, 1  # kinds of maps
_MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE, _MAP_NEXT, _PIN, _GET, _TEST_RUN = 1, 2, 3, 4, 6, 7, 10
_ATTACH, _DETACH, _QUERY = 8, 9, 16
_ALLOW_MULTI, _REPLACE = 2, 4  # how programs are attached to a control group
_QUERY_LIMIT = 64  # programs of one kind at one control group (BPF_CGROUP_MAX_PROGS)
_INFO, _LINK_CREATE, _LINK_UPDATE = 15, 28, 29
_XDP, _DRIVER_MODE = 37, 1 << 2
_libc = ctypes.CDLL(None, use_errno=True)


def _bpf_syscall(command: int, attributes: bytes) -> tuple[int, bytes]:
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = _libc.syscall(_SYSCALL[os.uname().machine], command, buffer, 128)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result, buffer.raw


def _buffer_address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


class Map:
    """One map by its descriptor. Keys and values are bytes; sizes as in layout.py."""

    def __init__(self, descriptor: int, key_size: int, value_size: int) -> None:
        self.descriptor = descriptor
        self._key_size = key_size
        self._value_size = value_size

    @classmethod
    def pinned(cls, path: Path, key_size: int, value_size: int) -> "Map":
        """Open a pinned map; raises FileNotFoundError, PermissionError."""
        return cls(open_pinned(path), key_size, value_size)

    def put(self, key: bytes, value: bytes) -> None:
        """Replace one element atomically for readers."""
        k, v = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
        _bpf_syscall(
            _MAP_UPDATE, struct.pack("=IIQQQ", self.descriptor, 0, _buffer_address(k), _buffer_address(v), 0)
        )

    def put_all(self, elements: Sequence[tuple[bytes, bytes]]) -> None:
        """Put many elements with one call."""
        if not elements:
            return
        joined_keys = b"".join(key for key, _ in elements)
        joined_values = b"".join(value for _, value in elements)
        keys = ctypes.create_string_buffer(joined_keys, len(joined_keys))
        values = ctypes.create_string_buffer(joined_values, len(joined_values))
        attributes = (
            0,
            0,
            _buffer_address(keys),
            _buffer_address(values),
            len(elements),
            self.descriptor,
            0,
            0,
        )
        _bpf_syscall(_UPDATE_BATCH, struct.pack("=QQQQIIQQ", *attributes))

    def get(self, key: bytes) -> bytes | None:
        k, v = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(self._value_size)
        try:
            _bpf_syscall(
                _MAP_LOOKUP,
                struct.pack("=IIQQQ", self.descriptor, 0, _buffer_address(k), _buffer_address(v), 0),
            )
        except FileNotFoundError:
            return None
        return v.raw

    def delete(self, key: bytes) -> None:
        k = ctypes.create_string_buffer(key, len(key))
        _bpf_syscall(_MAP_DELETE, struct.pack("=IIQ", self.descriptor, 0, _buffer_address(k)))

    def keys(self) -> Iterator[bytes]:
        key: bytes | None = None
        while True:
            k = None if key is None else ctypes.create_string_buffer(key, len(key))
            following = ctypes.create_string_buffer(self._key_size)
            at = 0 if k is None else _buffer_address(k)
            try:
                _bpf_syscall(
                    _MAP_NEXT, struct.pack("=IIQQ", self.descriptor, 0, at, _buffer_address(following))
                )
            except FileNotFoundError:
                return
            key = following.raw
            yield key

    def close(self) -> None:
        os.close(self.descriptor)


def create_map(kind: int, key_size: int, value_size: int, elements: int, flags: int) -> Map:
    """Create a map, which exists while its descriptor is open or a map of maps holds it."""
    attributes = struct.pack("=IIIII", kind, key_size, value_size, elements, flags)
    descriptor, _ = _bpf_syscall(_MAP_CREATE, attributes)
    return Map(descriptor, key_size, value_size)


def pin(descriptor: int, path: Path) -> None:
    name = ctypes.create_string_buffer(os.fsencode(path))
    _bpf_syscall(_PIN, struct.pack("=QII", _buffer_address(name), descriptor, 0))


def open_pinned(path: Path) -> int:
    """Return a descriptor of what is pinned there. Raises FileNotFoundError, PermissionError."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    descriptor, _ = _bpf_syscall(_GET, struct.pack("=QII", _buffer_address(name), 0, 0))
    return descriptor


def attach_to_group(program: int, group: int, kind: int, replaced: int | None = None) -> None:
    """Attach to a control group beside the programs of others, or in the place of `replaced` without a gap."""
    flags = _ALLOW_MULTI if replaced is None else _ALLOW_MULTI | _REPLACE
    _bpf_syscall(_ATTACH, struct.pack("=IIIII", group, program, kind, flags, replaced or 0))


def detach_from_group(program: int, group: int, kind: int) -> None:
    _bpf_syscall(_DETACH, struct.pack("=III", group, program, kind))


def programs_at_group(group: int, kind: int) -> tuple[int, ...]:
    """Return the ids of the programs that are attached to this control group itself."""
    ids = (ctypes.c_uint32 * _QUERY_LIMIT)()
    attributes = struct.pack("=IIIIQI", group, kind, 0, 0, ctypes.addressof(ids), _QUERY_LIMIT)
    _, after = _bpf_syscall(_QUERY, attributes)
    (count,) = struct.unpack_from("=I", after, 24)
    return tuple(ids[:count])


def program_id(program: int) -> int:
    """Return the kernel's id of a program."""
    info = ctypes.create_string_buffer(8)
    _bpf_syscall(_INFO, struct.pack("=IIQ", program, len(info), _buffer_address(info)))
    (number,) = struct.unpack_from("=4xI", info.raw)
    return int(number)


def link_xdp(program: int, index: int) -> int:
    """Attach an XDP program to an interface's driver while the link, whose descriptor is returned, lives.

    Raises OSError: EBUSY or EEXIST where another program is, EOPNOTSUPP where the driver has no XDP.
    """
    descriptor, _ = _bpf_syscall(_LINK_CREATE, struct.pack("=IIII", program, index, _XDP, _DRIVER_MODE))
    return descriptor


def update_link(link: int, program: int) -> None:
    """Put another program in a link's place: each packet meets one of them. ENOLINK: its interface is gone."""
    _bpf_syscall(_LINK_UPDATE, struct.pack("=IIII", link, program, 0, 0))


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """The program of a link, and its interface: 0 if that is gone."""

    program_id: int
    index: int


def link_info(link: int) -> LinkInfo:
    """Return what the kernel knows of an XDP link."""
    info = ctypes.create_string_buffer(64)
    _bpf_syscall(_INFO, struct.pack("=IIQ", link, len(info), _buffer_address(info)))
    _, _, program_id = struct.unpack_from("=III", info.raw)  # type, id, program
    (index,) = struct.unpack_from("=I", info.raw, 16)
    return LinkInfo(program_id, index)


def run_once(program: int, packet: bytes, context: bytes = b"") -> tuple[int, bytes, bytes]:
    """BPF_PROG_TEST_RUN once: (return value, the packet afterwards, the context afterwards).

    `context` is a struct __sk_buff (192 bytes), or nothing.
    """
    data_in = ctypes.create_string_buffer(packet, len(packet))
    data_out = ctypes.create_string_buffer(len(packet) + 256)
    context_in = ctypes.create_string_buffer(context, max(1, len(context)))
    context_out = ctypes.create_string_buffer(max(1, len(context)))
    attributes = struct.pack(
        "=IIIIQQIIIIQQ",
        program,
        0,
        len(packet),
        len(data_out),
        _buffer_address(data_in),
        _buffer_address(data_out),
        1,
        0,
        len(context),
        len(context),
        _buffer_address(context_in) if context else 0,
        _buffer_address(context_out) if context else 0,
    )
    _, after = _bpf_syscall(_TEST_RUN, attributes)
    returned, _, size = struct.unpack_from("=III", after, 4)
    return returned, data_out.raw[:size], context_out.raw if context else b""


def run_often(program: int, packet: bytes, times: int) -> tuple[int, float]:
    """BPF_PROG_TEST_RUN repeatedly on one packet, which the program must not change: (return value, ns per run)."""
    data_in = ctypes.create_string_buffer(packet, len(packet))
    attributes = struct.pack("=IIIIQQII", program, 0, len(packet), 0, _buffer_address(data_in), 0, times, 0)
    _, after = _bpf_syscall(_TEST_RUN, attributes)
    returned, duration = struct.unpack_from("=I", after, 4)[0], struct.unpack_from("=I", after, 36)[0]
    return returned, float(duration)


def possible_cpus() -> int:
    """Return the number of values that a per-CPU map returns for a key."""
    return int(Path("/sys/devices/system/cpu/possible").read_text().strip().split("-")[-1]) + 1
