"""The relay's peers, in a file of the state folder: names, public keys and addresses, never a private key."""

import contextlib
import fcntl
import ipaddress
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from node.fields import read_integer, read_sequence, require_mapping
from node.state.strict_json import LARGEST_INTEGER, parse_strictly
from relay.configuration import (
    PathConfiguration,
    RelayIdentity,
    parse_host,
    parse_name,
    parse_prefix,
)
from relay.wireguard.device import WireguardPeer
from relay.wireguard.keys import create_private_key, derive_public_key, encode_key, parse_key
from runtime.files import replace_text

VERSION = 1
FIRST_PEER = 2  # the first address of each network is the relay's
SIZE_LIMIT = 16 << 20  # bytes: 10,000 peers take a sixth of it


class PeersInvalid(Exception):
    """The state folder cannot be used, or a request does not agree with it; `hint` is what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class RegisteredPeer:
    """A client that may use the relay; `added` is in unix seconds."""

    name: str
    public_key: bytes
    addresses: tuple[str, ...]
    added: int

    def as_wireguard(self) -> WireguardPeer:
        return WireguardPeer(
            self.public_key, tuple(str(ipaddress.ip_network(address)) for address in self.addresses)
        )

    def as_fields(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "public_key": encode_key(self.public_key),
            "addresses": list(self.addresses),
            "added": self.added,
        }

    @classmethod
    def from_fields(cls, value: Any) -> Self:
        """Raises ValueError that names the field."""
        fields = require_mapping(value, "peer")
        try:
            public_key = parse_key(fields.get("public_key"))
        except ValueError as error:
            raise ValueError(f"public_key: {error}") from None
        addresses = tuple(parse_host(each, "addresses") for each in read_sequence(fields, "addresses"))
        added = read_integer(fields, "added", 0, LARGEST_INTEGER)
        return cls(parse_name(fields.get("name"), "name"), public_key, addresses, added)


@dataclass(frozen=True, slots=True)
class RelayDescription:
    """What the running relay leaves in its folder for the commands: `sennit relay add` needs no settings."""

    interface: str
    identity: RelayIdentity
    networks: tuple[str, ...]
    max_peers: int

    def as_fields(self) -> dict[str, Any]:
        return {
            "interface": self.interface,
            "networks": list(self.networks),
            "max_peers": self.max_peers,
            **self.identity.as_fields(),
        }

    @classmethod
    def from_fields(cls, value: Any) -> Self:
        """Raises ValueError that names the field."""
        fields = require_mapping(value, "relay")
        networks = tuple(parse_prefix(each, "networks") for each in read_sequence(fields, "networks"))
        limit = read_integer(fields, "max_peers", 1, 10_000)
        return cls(str(fields.get("interface")), RelayIdentity.from_fields(fields), networks, limit)


class RelayState:
    """The state folder: `peers.json`, `relay.json`, `relay.key`; files belong to the folder's owner, mode 0600."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load_private_key(self) -> bytes:
        """Return the relay's key, made at the first call. Raises `PeersInvalid`."""
        path = self._folder / "relay.key"
        try:
            return parse_key(path.read_text().strip())
        except FileNotFoundError:
            key = create_private_key()
            self._write(path, encode_key(key) + "\n")
            return key
        except ValueError as error:
            raise PeersInvalid(
                f"{path}: {error}", "restore it; a new key needs new configurations for all clients"
            ) from None
        except OSError as error:
            raise self._unusable(path, error) from None

    def write_description(self, description: RelayDescription) -> None:
        """Raises `PeersInvalid`."""
        self._write(self._folder / "relay.json", _format_json(description.as_fields()))

    def read_description(self) -> RelayDescription:
        """Raises `PeersInvalid`."""
        path = self._folder / "relay.json"
        try:
            return RelayDescription.from_fields(self._read(path))
        except FileNotFoundError:
            raise PeersInvalid(
                f"no relay has run in {self._folder}", "start it: `systemctl start sennit-relay`, or --state"
            ) from None
        except ValueError as error:
            raise PeersInvalid(f"{path}: {error}", "restart sennit-relay, which writes it anew") from None

    def read_peers(self) -> tuple[RegisteredPeer, ...]:
        """Return all peers in the order of their names. Raises `PeersInvalid`."""
        path = self._folder / "peers.json"
        try:
            fields = require_mapping(self._read(path), "peers.json")
            read_integer(fields, "version", VERSION, VERSION)
            peers = tuple(map(RegisteredPeer.from_fields, read_sequence(fields, "peers")))
        except FileNotFoundError:
            return ()
        except ValueError as error:
            raise PeersInvalid(f"{path}: {error}", "restore it from a backup") from None
        for values in ([p.name for p in peers], [p.public_key for p in peers], _peer_addresses(peers)):
            if len(set(values)) != len(values):
                raise PeersInvalid(f"{path}: a name, key or address occurs twice", "restore it from a backup")
        return peers

    def peers_version(self) -> tuple[int, int] | None:
        """Return what changes when the peers change."""
        try:
            status = (self._folder / "peers.json").stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def add_peer(self, name: str) -> PathConfiguration:
        """Register a new client; return its configuration, which is kept nowhere. Raises `PeersInvalid`."""
        with self._locked():
            relay, peers = self.read_description(), self.read_peers()
            if any(peer.name == name for peer in peers):
                raise PeersInvalid(
                    f"there is a peer {name}",
                    f"its key is with the client alone: `sennit relay remove {name}` first for a new one",
                )
            if len(peers) >= relay.max_peers:
                raise PeersInvalid(
                    f"{len(peers)} peers, the limit", "remove some, or raise --max-peers of the relay"
                )
            private_key = create_private_key()
            addresses = _free_addresses(relay.networks, set(_peer_addresses(peers)))
            peer = RegisteredPeer(name, derive_public_key(private_key), addresses, int(time.time()))
            self._write_peers((*peers, peer))
        return PathConfiguration(relay.identity, name, addresses, private_key)

    def remove_peer(self, name: str) -> None:
        """Raises `PeersInvalid`."""
        with self._locked():
            peers = self.read_peers()
            left = tuple(peer for peer in peers if peer.name != name)
            if len(left) == len(peers):
                raise PeersInvalid(f"there is no peer {name}", "`sennit relay list` shows all")
            self._write_peers(left)

    def _write_peers(self, peers: tuple[RegisteredPeer, ...]) -> None:
        fields = [peer.as_fields() for peer in sorted(peers, key=lambda peer: peer.name)]
        self._write(self._folder / "peers.json", _format_json({"version": VERSION, "peers": fields}))

    def _read(self, path: Path) -> Any:
        try:
            with path.open("rb") as file:
                content = file.read(SIZE_LIMIT + 1)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unusable(path, error) from None
        if len(content) > SIZE_LIMIT:
            raise ValueError(f"more than {SIZE_LIMIT} bytes")
        try:
            return parse_strictly(content.decode())
        except RecursionError:
            raise ValueError("nested too deep") from None

    def _write(self, path: Path, text: str) -> None:
        try:
            replace_text(path, text, 0o600, durable=True)
            owner = self._folder.stat()
            if os.geteuid() == 0:  # a command of root's, and the daemon has a user of its own
                os.chown(path, owner.st_uid, owner.st_gid)
        except OSError as error:
            raise self._unusable(path, error) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise self._unusable(self._folder, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _unusable(self, path: Path, error: OSError) -> PeersInvalid:
        if isinstance(error, PermissionError):
            return PeersInvalid(f"{path}: {error.strerror}", "run as root, or as the user of the relay")
        if isinstance(error, FileNotFoundError):
            return PeersInvalid(
                f"{path}: {error.strerror}", f"make the folder: `mkdir -m 700 {self._folder}`"
            )
        return PeersInvalid(f"{path}: {error.strerror or error}")


def relay_addresses(networks: tuple[str, ...]) -> tuple[str, ...]:
    """Return the relay's own addresses inside the tunnels, with prefix lengths."""
    found = map(ipaddress.ip_network, networks)
    return tuple(f"{network.network_address + 1}/{network.prefixlen}" for network in found)


def _free_addresses(networks: tuple[str, ...], taken: set[str]) -> tuple[str, ...]:
    """Return the lowest free number of all networks as one address of each."""
    number = FIRST_PEER
    while True:
        found = tuple(str(ipaddress.ip_network(each).network_address + number) for each in networks)
        if taken.isdisjoint(found):
            return found
        number += 1


def _peer_addresses(peers: tuple[RegisteredPeer, ...]) -> list[str]:
    return [address for peer in peers for address in peer.addresses]


def _format_json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, indent=1, sort_keys=True) + "\n"
