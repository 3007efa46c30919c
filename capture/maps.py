"""The maps that the programs and the entrance share (capture/c/capture.c), and the process that loads the programs."""

import socket
import struct
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address

from capture.load.programs import MAPS, CaptureUnavailable
from runtime.bpf.system_call import Map

Address = IPv4Address | IPv6Address

LOAD_TIMEOUT = 60.0  # seconds; compiling takes one or two
_ADDRESS = struct.Struct("=16s")
_ENDPOINT = struct.Struct("=16sI")
_ENTRANCES = struct.Struct("=II")
_PRESENT = struct.pack("=I", 1)


class CaptureMaps:
    """What is captured, and where each captured connection was going."""

    def __init__(self, descriptors: list[int]) -> None:
        settings, captured, resolvers, handed_over = descriptors
        self._settings = Map(settings, 4, _ENTRANCES.size)
        self._captured = Map(captured, _ADDRESS.size, 4)
        self._resolvers = Map(resolvers, _ADDRESS.size, 4)
        self._handed_over = Map(handed_over, _ENDPOINT.size, _ENDPOINT.size)

    def set_entrances(self, streams: int, resolver: int) -> None:
        """Set the ports on loopback that connections and questions are led to."""
        self._settings.put(struct.pack("=I", 0), _ENTRANCES.pack(streams, resolver))

    def capture_address(self, address: Address) -> None:
        """Lead connections to this address to the entrance from now on. Raises OSError where the map is full."""
        self._captured.put(_pack_address(address), _PRESENT)

    def redirect_resolver(self, address: Address) -> None:
        """Lead questions to the resolver at this address to the one on loopback. Raises OSError at the 17th."""
        self._resolvers.put(_pack_address(address), _PRESENT)

    def take_dialled(self, peer: tuple[str, int]) -> tuple[Address, int] | None:
        """Return and forget what the socket at this local endpoint dialled; None where it was not captured."""
        key = _ENDPOINT.pack(_pack_address(ip_address(peer[0].partition("%")[0])), peer[1])
        value = self._handed_over.get(key)
        if value is None:
            return None
        self._handed_over.delete(key)
        address, port = _ENDPOINT.unpack(value)
        return _unpack_address(address), port

    def close(self) -> None:
        for one in (self._settings, self._captured, self._resolvers, self._handed_over):
            one.close()


def load_programs(group: int) -> CaptureMaps:
    """Attach the programs to a control group. Raises `CaptureUnavailable`.

    bcc holds 130 MB and its compiler: a process of its own has it, which ends.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "capture.load", str(group), str(theirs.fileno())],
            pass_fds=(group, theirs.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()
        ours.settimeout(LOAD_TIMEOUT)
        try:
            said, descriptors, _, _ = socket.recv_fds(ours, 4096, len(MAPS))
        except TimeoutError:
            raise CaptureUnavailable(f"the programs were not loaded within {LOAD_TIMEOUT:g} s") from None
        finally:
            process.kill()
            process.wait()
    if said != b"loaded" or len(descriptors) != len(MAPS):
        raise CaptureUnavailable(
            said.decode(errors="replace") or "the loading process ended without a reason"
        )
    return CaptureMaps(list(descriptors))


def _pack_address(address: Address) -> bytes:
    if isinstance(address, IPv4Address):
        return b"\0" * 10 + b"\xff\xff" + address.packed
    return address.packed


def _unpack_address(raw: bytes) -> Address:
    address = IPv6Address(raw)
    return address.ipv4_mapped or address
