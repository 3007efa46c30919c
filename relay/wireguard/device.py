"""What a WireGuard interface is asked and given, the kernel's or one in userspace."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from smkex.transport.routes.routes import Address


class WireguardUnavailable(Exception):
    """An interface cannot be made or configured; `hint` is what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class WireguardPeer:
    """A peer as it is configured: packets to and from `allowed` prefixes are its own; keepalive in seconds, 0 none."""

    public_key: bytes
    allowed: tuple[str, ...]
    endpoint: tuple[Address, int] | None = None
    keepalive: int = 0


@dataclass(frozen=True, slots=True)
class PeerActivity:
    """A peer as the interface has it: time of its last handshake (unix seconds, 0 none), and bytes."""

    allowed: frozenset[str]
    endpoint: str | None = None
    last_handshake: int = 0
    received: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """An interface: its public key (None before it has one), UDP port, and peers by public key."""

    public_key: bytes | None
    listen_port: int
    peers: Mapping[bytes, PeerActivity] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What to change of an interface; None leaves as it is. A peer in `set_peers` replaces the one of its key."""

    private_key: bytes | None = field(default=None, repr=False)
    listen_port: int | None = None
    remove_peers: tuple[bytes, ...] = ()
    set_peers: tuple[WireguardPeer, ...] = ()


class WireguardDevice(Protocol):
    """One WireGuard interface. Both methods raise `WireguardUnavailable`."""

    name: str
    implementation: str

    def read_status(self) -> DeviceStatus: ...

    def apply_change(self, change: DeviceChange) -> None: ...


def compare_peers(status: DeviceStatus, wanted: Iterable[WireguardPeer]) -> DeviceChange:
    """Return what makes an interface's peers the wanted ones; sessions of peers that stay are not disturbed."""
    peers = {peer.public_key: peer for peer in wanted}
    stale = tuple(key for key in status.peers if key not in peers)
    changed = tuple(
        peer
        for key, peer in peers.items()
        if key not in status.peers or status.peers[key].allowed != frozenset(peer.allowed)
    )
    return DeviceChange(remove_peers=stale, set_peers=changed)
