"""WireGuard in the kernel, by generic netlink (linux/wireguard.h)."""

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from relay.wireguard.device import (
    DeviceChange,
    DeviceStatus,
    PeerActivity,
    WireguardPeer,
    WireguardUnavailable,
)
from smkex.transport.routes.netlink import (
    NETLINK_GENERIC,
    NetlinkSocket,
    encode_attribute,
    encode_nested,
    parse_attributes,
    resolve_family,
)
from smkex.transport.routes.target import format_endpoint

PEERS_PER_MESSAGE = 64  # a nested attribute holds 64 KiB
_GET_DEVICE, _SET_DEVICE, _VERSION = 0, 1, 1
_IFNAME, _PRIVATE_KEY, _PUBLIC_KEY, _LISTEN_PORT, _PEERS = 2, 3, 4, 6, 8
_PEER_KEY, _PEER_FLAGS, _ENDPOINT, _KEEPALIVE, _LAST_HANDSHAKE, _RECEIVED, _SENT, _ALLOWED = (
    1,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
)
_FAMILY, _ADDRESS, _LENGTH = 1, 2, 3
_REMOVE_ME, _REPLACE_ALLOWED = 1, 2
_IPV4_ENDPOINT, _IPV6_ENDPOINT = struct.Struct("=H2s4s8x"), struct.Struct("=H2sI16sI")


class KernelDevice:
    """A link of kind `wireguard`."""

    implementation = "kernel"

    def __init__(self, name: str) -> None:
        self.name = name

    def read_status(self) -> DeviceStatus:
        """Return keys, port and peers. Raises `WireguardUnavailable`."""
        public_key, port, peers = None, 0, dict[bytes, PeerActivity]()
        with _wireguard_family(self.name) as (kernel, family):
            body = struct.pack("=BBH", _GET_DEVICE, _VERSION, 0) + self._name_attribute()
            for answer in kernel.dump(family, body):
                facts = dict(parse_attributes(answer[4:]))
                public_key = facts.get(_PUBLIC_KEY, public_key)
                (port,) = struct.unpack("=H", facts[_LISTEN_PORT]) if _LISTEN_PORT in facts else (port,)
                for _, raw in parse_attributes(facts.get(_PEERS, b"")):
                    key, activity = _parse_peer(raw)
                    # a peer with many prefixes continues in the next message
                    before = peers[key].allowed if key in peers else frozenset()
                    peers[key] = _with_prefixes(peers.get(key, activity), before | activity.allowed)
        return DeviceStatus(public_key, port, peers)

    def apply_change(self, change: DeviceChange) -> None:
        """Configure the interface. Raises `WireguardUnavailable`."""
        attributes = []
        if change.private_key is not None:
            attributes.append(encode_attribute(_PRIVATE_KEY, change.private_key))
        if change.listen_port is not None:
            attributes.append(encode_attribute(_LISTEN_PORT, struct.pack("=H", change.listen_port)))
        peers = [*map(_encode_removal, change.remove_peers), *map(_encode_peer, change.set_peers)]
        with _wireguard_family(self.name) as (kernel, family):
            if attributes:
                kernel.request(family, self._set_message(*attributes))
            for at in range(0, len(peers), PEERS_PER_MESSAGE):
                some = encode_nested(_PEERS, *peers[at : at + PEERS_PER_MESSAGE])
                kernel.request(family, self._set_message(some))

    def _set_message(self, *attributes: bytes) -> bytes:
        return struct.pack("=BBH", _SET_DEVICE, _VERSION, 0) + self._name_attribute() + b"".join(attributes)

    def _name_attribute(self) -> bytes:
        return encode_attribute(_IFNAME, self.name.encode() + b"\0")


@contextmanager
def _wireguard_family(name: str) -> Iterator[tuple[NetlinkSocket, int]]:
    kernel = NetlinkSocket(NETLINK_GENERIC)
    try:
        family, _ = resolve_family(kernel, "wireguard")
        yield kernel, family
    except PermissionError:
        raise WireguardUnavailable(f"{name}: not permitted", "run as root, or with CAP_NET_ADMIN") from None
    except OSError as error:
        hint = (
            "another program's interface? `ip -d link` shows kinds" if error.errno == errno.EOPNOTSUPP else ""
        )
        raise WireguardUnavailable(f"{name}: {error.strerror or error}", hint) from None
    finally:
        kernel.close()


def _encode_removal(public_key: bytes) -> bytes:
    flags = encode_attribute(_PEER_FLAGS, struct.pack("=I", _REMOVE_ME))
    return encode_nested(0, encode_attribute(_PEER_KEY, public_key), flags)


def _encode_peer(peer: WireguardPeer) -> bytes:
    attributes = [
        encode_attribute(_PEER_KEY, peer.public_key),
        encode_attribute(_PEER_FLAGS, struct.pack("=I", _REPLACE_ALLOWED)),
        encode_attribute(_KEEPALIVE, struct.pack("=H", peer.keepalive)),
        encode_nested(_ALLOWED, *map(_encode_prefix, peer.allowed)),
    ]
    if peer.endpoint is not None:
        address, port = peer.endpoint
        raw = port.to_bytes(2, "big")
        if address.version == 4:
            attributes.append(
                encode_attribute(_ENDPOINT, _IPV4_ENDPOINT.pack(socket.AF_INET, raw, address.packed))
            )
        else:
            attributes.append(
                encode_attribute(_ENDPOINT, _IPV6_ENDPOINT.pack(socket.AF_INET6, raw, 0, address.packed, 0))
            )
    return encode_nested(0, *attributes)


def _encode_prefix(prefix: str) -> bytes:
    network = ipaddress.ip_network(prefix)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    return encode_nested(
        0,
        encode_attribute(_FAMILY, struct.pack("=H", family)),
        encode_attribute(_ADDRESS, network.network_address.packed),
        encode_attribute(_LENGTH, bytes([network.prefixlen])),
    )


def _parse_peer(raw: bytes) -> tuple[bytes, PeerActivity]:
    facts = dict(parse_attributes(raw))
    handshake = facts.get(_LAST_HANDSHAKE, bytes(16))
    received, sent = (int.from_bytes(facts.get(kind, b""), "little") for kind in (_RECEIVED, _SENT))
    prefixes = frozenset(_parse_prefix(each) for _, each in parse_attributes(facts.get(_ALLOWED, b"")))
    return facts[_PEER_KEY], PeerActivity(
        prefixes,
        _parse_endpoint(facts.get(_ENDPOINT, b"")),
        struct.unpack_from("=q", handshake)[0],
        received,
        sent,
    )


def _parse_prefix(raw: bytes) -> str:
    facts = dict(parse_attributes(raw))
    return str(ipaddress.ip_network((facts[_ADDRESS], facts[_LENGTH][0])))


def _parse_endpoint(raw: bytes) -> str | None:
    if len(raw) == _IPV4_ENDPOINT.size:
        _, port, packed = _IPV4_ENDPOINT.unpack(raw)
    elif len(raw) == _IPV6_ENDPOINT.size:
        _, port, _, packed, _ = _IPV6_ENDPOINT.unpack(raw)
    else:
        return None
    return format_endpoint(str(ipaddress.ip_address(packed)), int.from_bytes(port, "big"))


def _with_prefixes(activity: PeerActivity, allowed: frozenset[str]) -> PeerActivity:
    return PeerActivity(allowed, activity.endpoint, activity.last_handshake, activity.received, activity.sent)
