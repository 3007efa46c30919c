"""Maps and pins of eBPF by their descriptors."""

import ctypes
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from runtime.bpf.library import load_libbpf

HASH, ARRAY = 1, 2  # kinds of maps (enum bpf_map_type)


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
        load_libbpf().bpf_map_update_elem(self.descriptor, key, value, 0)

    def put_all(self, elements: Sequence[tuple[bytes, bytes]]) -> None:
        """Put many elements with one call."""
        if elements:
            keys, values = b"".join(key for key, _ in elements), b"".join(value for _, value in elements)
            count = ctypes.c_uint32(len(elements))
            load_libbpf().bpf_map_update_batch(self.descriptor, keys, values, ctypes.byref(count), None)

    def get(self, key: bytes) -> bytes | None:
        value = ctypes.create_string_buffer(self._value_size)
        try:
            load_libbpf().bpf_map_lookup_elem(self.descriptor, key, value)
        except FileNotFoundError:
            return None
        return value.raw

    def delete(self, key: bytes) -> None:
        load_libbpf().bpf_map_delete_elem(self.descriptor, key)

    def keys(self) -> Iterator[bytes]:
        key: bytes | None = None
        while True:
            following = ctypes.create_string_buffer(self._key_size)
            try:
                load_libbpf().bpf_map_get_next_key(self.descriptor, key, following)
            except FileNotFoundError:
                return
            key = following.raw
            yield key

    def close(self) -> None:
        os.close(self.descriptor)


def create_map(kind: int, key_size: int, value_size: int, elements: int) -> Map:
    """Create a map, which exists while its descriptor is open or a map of maps holds it."""
    return Map(
        load_libbpf().bpf_map_create(kind, None, key_size, value_size, elements, None), key_size, value_size
    )


def pin(descriptor: int, path: Path) -> None:
    load_libbpf().bpf_obj_pin(descriptor, os.fsencode(path))


def open_pinned(path: Path) -> int:
    """Return a descriptor of what is pinned there. Raises FileNotFoundError, PermissionError."""
    return int(load_libbpf().bpf_obj_get(os.fsencode(path)))


def possible_cpus() -> int:
    """Return the number of values that a per-CPU map returns for a key."""
    return int(load_libbpf().libbpf_num_possible_cpus())
