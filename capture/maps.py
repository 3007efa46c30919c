"""The maps that the programs and the entrance share (capture/c/capture.c)."""

import contextlib
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from runtime.bpf.maps import Map

Address = IPv4Address | IPv6Address

_ADDRESS = struct.Struct("=16s")
_ENDPOINT = struct.Struct("=16sI")
_TARGET = struct.Struct("=16sIIQ")
_ENTRANCES = struct.Struct("=IIIIQ")
_GROUP = struct.Struct("=Q")
_PRESENT = struct.pack("=I", 1)
_SO_NETNS_COOKIE = 71  # asm-generic/socket.h


@dataclass(frozen=True, slots=True)
class DialledTarget:
    """What a captured connection was made to, by which user, in which control group."""

    address: Address
    port: int
    uid: int
    group: int


class CaptureMaps:
    """What is captured, and where each captured connection was going. `descriptors` by name."""

    def __init__(self, descriptors: Mapping[str, int]) -> None:
        self.descriptors = dict(descriptors)
        self._settings = Map(descriptors["settings"], 4, _ENTRANCES.size)
        self._excluded = Map(descriptors["excluded"], _GROUP.size, 4)
        self._captured = Map(descriptors["captured"], _ADDRESS.size, 4)
        self._resolvers = Map(descriptors["resolvers"], _ADDRESS.size, 4)
        self._handed_over = Map(descriptors["handed_over"], _ENDPOINT.size, _TARGET.size)

    def set_entrances(
        self, streams: int, resolver: int, *, excluded_mark: int = 0, excludes_groups: bool = False
    ) -> None:
        """Set the ports on loopback of this network namespace that connections and questions are led to."""
        value = _ENTRANCES.pack(streams, resolver, excluded_mark, excludes_groups, network_namespace_cookie())
        self._settings.put(struct.pack("=I", 0), value)

    def exclude_groups(self, ids: set[int]) -> None:
        """Exclude exactly these control groups, by their ids. Raises OSError at the 257th."""
        present = {_GROUP.unpack(key)[0] for key in list(self._excluded.keys())}
        for one in ids - present:
            self._excluded.put(_GROUP.pack(one), _PRESENT)
        for one in present - ids:
            self._excluded.delete(_GROUP.pack(one))

    def capture_address(self, address: Address) -> None:
        """Lead connections to this address to the entrance from now on. Raises OSError where the map is full."""
        self._captured.put(_pack_address(address), _PRESENT)

    def release_address(self, address: Address) -> None:
        """Leave connections to this address alone from now on."""
        with contextlib.suppress(FileNotFoundError):
            self._captured.delete(_pack_address(address))

    def captured_addresses(self) -> Iterator[Address]:
        for key in list(self._captured.keys()):
            yield _unpack_address(key)

    def redirect_resolver(self, address: Address) -> None:
        """Lead questions to the resolver at this address to the one on loopback. Raises OSError at the 17th."""
        self._resolvers.put(_pack_address(address), _PRESENT)

    def release_resolver(self, address: Address) -> None:
        """Leave questions to the resolver at this address alone from now on."""
        with contextlib.suppress(FileNotFoundError):
            self._resolvers.delete(_pack_address(address))

    def take_dialled(self, peer: tuple[str, int]) -> DialledTarget | None:
        """Return and forget what the socket at this local endpoint dialled; None where it was not captured."""
        key = _ENDPOINT.pack(_pack_address(ip_address(peer[0].partition("%")[0])), peer[1])
        value = self._handed_over.get(key)
        if value is None:
            return None
        self._handed_over.delete(key)
        address, port, uid, group = _TARGET.unpack(value)
        return DialledTarget(_unpack_address(address), port, uid, group)

    def close(self) -> None:
        maps = (self._settings, self._excluded, self._captured, self._resolvers, self._handed_over)
        for one in maps:
            one.close()


def network_namespace_cookie() -> int:
    """Return the kernel's number of this process's network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
    return int.from_bytes(raw, sys.byteorder)


def _pack_address(address: Address) -> bytes:
    if isinstance(address, IPv4Address):
        return b"\0" * 10 + b"\xff\xff" + address.packed
    return address.packed


def _unpack_address(raw: bytes) -> Address:
    address = IPv6Address(raw)
    return address.ipv4_mapped or address
