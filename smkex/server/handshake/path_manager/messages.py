"""Messages between the edge and the path manager process: one packet each, of fixed size.

A request also carries the connection's socket (SCM_RIGHTS): a client can steer only connections that it holds.
"""

import ipaddress
import struct
from dataclasses import dataclass
from enum import IntEnum

from smkex.transport.mptcp.info import FourTuple
from smkex.transport.mptcp.subflow_diag import SubflowState

# sequence, operation, backup, local address and port, remote address and port
_REQUEST = struct.Struct("!IBB16sH16sH")
# sequence, errno, mark, bits of SubflowState
_RESPONSE = struct.Struct("!IIIB")
REQUEST_SIZE, RESPONSE_SIZE = _REQUEST.size, _RESPONSE.size
READY = b"ready"
NO_STATE = SubflowState(False, False, False, 0)  # of operations other than INSPECT


class Operation(IntEnum):
    """What a request asks for."""

    ANNOUNCE = 1
    SET_BACKUP = 2
    INSPECT = 3


@dataclass(frozen=True, slots=True)
class Request:
    """One operation on a connection; `operation` is a number that may be none of `Operation`."""

    sequence: int
    operation: int
    addresses: FourTuple
    backup: bool = False

    def encode(self) -> bytes:
        return _REQUEST.pack(
            self.sequence,
            self.operation,
            self.backup,
            _pack_address(self.addresses.local),
            self.addresses.local_port,
            _pack_address(self.addresses.remote),
            self.addresses.remote_port,
        )

    @classmethod
    def decode(cls, raw: bytes) -> "Request":
        """Decode a packet of `REQUEST_SIZE` bytes. Raises `ValueError` for another size."""
        if len(raw) != REQUEST_SIZE:
            raise ValueError(f"a request has {REQUEST_SIZE} bytes, not {len(raw)}")
        sequence, operation, backup, local, local_port, remote, remote_port = _REQUEST.unpack(raw)
        addresses = FourTuple(_unpack_address(local), local_port, _unpack_address(remote), remote_port)
        return cls(sequence, operation, addresses, bool(backup))


@dataclass(frozen=True, slots=True)
class Response:
    """Outcome of one request: `error` is an errno, 0 for success; `state` is that of INSPECT."""

    sequence: int
    error: int = 0
    state: SubflowState = NO_STATE

    def encode(self) -> bytes:
        state = self.state
        bits = state.backup_here | state.backup_at_peer << 1 | state.fully_established << 2
        return _RESPONSE.pack(self.sequence, self.error, state.mark, bits)

    @classmethod
    def decode(cls, raw: bytes) -> "Response":
        """Decode a packet of `RESPONSE_SIZE` bytes. Raises `ValueError` for another size."""
        if len(raw) != RESPONSE_SIZE:
            raise ValueError(f"a response has {RESPONSE_SIZE} bytes, not {len(raw)}")
        sequence, error, mark, bits = _RESPONSE.unpack(raw)
        return cls(sequence, error, SubflowState(bool(bits & 1), bool(bits & 2), bool(bits & 4), mark))


def _pack_address(address: str) -> bytes:
    ip = ipaddress.ip_address(address)
    return ip.packed if ip.version == 6 else b"\0" * 10 + b"\xff\xff" + ip.packed


def _unpack_address(packed: bytes) -> str:
    ip = ipaddress.IPv6Address(packed)
    return str(ip.ipv4_mapped or ip)
