"""The configuration that a relay gives a client once: one JSON document with the client's private key."""

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import Any, Self

from node.fields import read_integer, read_sequence, require_mapping
from node.state.strict_json import parse_strictly
from relay.wireguard.keys import encode_key, parse_key
from smkex.transport.resolution.resolver_address import InvalidResolver, ResolverAddress
from smkex.transport.routes.routes import Address
from smkex.transport.routes.target import format_endpoint

VERSION = 1
SIZE_LIMIT = 65536  # bytes of a document
PREFIX_LIMIT = 256
SMALLEST_MTU, DEFAULT_MTU, LARGEST_MTU = 1280, 1400, 9000  # bytes; RFC 8200 section 5
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_INTERFACE = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,14}", re.ASCII)  # IFNAMSIZ is 16 with its final zero

Endpoint = tuple[Address, int]


class InvalidConfiguration(ValueError):
    """A document is not a relay's configuration; the text names the field."""


@dataclass(frozen=True, slots=True)
class RelayIdentity:
    """What clients know of a relay: name, where it listens (at most one endpoint a family), public key.

    `prefixes` are the CDN's, `resolvers` the name servers that it lets clients reach, as `ResolverAddress` writes them,
    `addresses` its own inside the tunnel, from which errors (ICMP) come.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    public_key: bytes
    prefixes: tuple[str, ...]
    resolvers: tuple[str, ...]
    addresses: tuple[str, ...]
    mtu: int = DEFAULT_MTU

    @property
    def destinations(self) -> tuple[str, ...]:
        """The prefixes that the relay leads to."""
        hosts = (str(ipaddress.ip_network(ResolverAddress.parse(each).address)) for each in self.resolvers)
        return tuple(dict.fromkeys((*self.prefixes, *hosts)))

    @property
    def sources(self) -> tuple[str, ...]:
        """The prefixes that packets from the relay may come from."""
        hosts = (str(ipaddress.ip_network(address)) for address in self.addresses)
        return tuple(dict.fromkeys((*self.destinations, *hosts)))

    def as_fields(self) -> dict[str, Any]:
        return {
            "relay": self.name,
            "endpoints": [format_endpoint(str(address), port) for address, port in self.endpoints],
            "relay_key": encode_key(self.public_key),
            "prefixes": list(self.prefixes),
            "resolvers": list(self.resolvers),
            "relay_addresses": list(self.addresses),
            "mtu": self.mtu,
        }

    @classmethod
    def from_fields(cls, fields: Any) -> Self:
        """Raises ValueError that names the field."""
        fields = require_mapping(fields, "document")
        prefixes = tuple(parse_prefix(each, "prefixes") for each in read_sequence(fields, "prefixes"))
        if not 1 <= len(prefixes) <= PREFIX_LIMIT:
            raise ValueError(f"prefixes: not 1 to {PREFIX_LIMIT}")
        resolvers = tuple(parse_resolver(each, "resolvers") for each in read_sequence(fields, "resolvers"))
        if len(resolvers) > PREFIX_LIMIT:
            raise ValueError(f"resolvers: more than {PREFIX_LIMIT}")
        addresses = read_sequence(fields, "relay_addresses")
        return cls(
            parse_name(fields.get("relay"), "relay"),
            parse_endpoints(read_sequence(fields, "endpoints")),
            _read_key(fields, "relay_key"),
            prefixes,
            resolvers,
            read_addresses(addresses, "relay_addresses"),
            read_integer(fields, "mtu", SMALLEST_MTU, LARGEST_MTU),
        )


@dataclass(frozen=True, slots=True)
class PathConfiguration:
    """All that a client needs for one path through a relay."""

    relay: RelayIdentity
    peer: str
    addresses: tuple[str, ...]
    private_key: bytes = field(repr=False)

    def serialize(self) -> str:
        """Return the document; equal configurations have equal documents."""
        return json.dumps(self.as_fields(), indent=2, sort_keys=True) + "\n"

    def as_fields(self) -> dict[str, Any]:
        return {
            "sennit_relay": VERSION,
            "peer": self.peer,
            "addresses": list(self.addresses),
            "private_key": encode_key(self.private_key),
            **self.relay.as_fields(),
        }

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `InvalidConfiguration`."""
        if len(text) > SIZE_LIMIT:
            raise InvalidConfiguration(f"more than {SIZE_LIMIT} characters")
        try:
            return cls.from_fields(parse_strictly(text))
        except RecursionError:
            raise InvalidConfiguration("nested too deep") from None
        except ValueError as error:
            raise InvalidConfiguration(str(error)) from None

    @classmethod
    def from_fields(cls, value: Any) -> Self:
        """Raises ValueError that names the field."""
        fields = require_mapping(value, "document")
        read_integer(fields, "sennit_relay", VERSION, VERSION)
        return cls(
            RelayIdentity.from_fields(fields),
            parse_name(fields.get("peer"), "peer"),
            read_addresses(read_sequence(fields, "addresses"), "addresses"),
            _read_key(fields, "private_key"),
        )


def parse_name(value: object, name: str) -> str:
    """Return the name of a relay or peer; raises ValueError."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{name}: not a name of 1 to 64 letters a-z, digits, dots, hyphens and underscores")
    return value


def parse_interface_name(value: object) -> str:
    """Return the name of an interface; raises ValueError."""
    if not isinstance(value, str) or not _INTERFACE.fullmatch(value):
        raise ValueError("not an interface's name: a letter, then at most 14 letters, digits, _ and -")
    return value


def parse_host(value: object, name: str) -> str:
    """Return one address in its canonical text; raises ValueError."""
    try:
        address = ipaddress.ip_address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    if address is None or str(address) != value or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{name}: not an address in its canonical form: {str(value)[:60]}")
    return value


def parse_resolver(value: object, name: str) -> str:
    """Return a name server in the one text that `ResolverAddress` writes; raises ValueError."""
    try:
        found = ResolverAddress.parse(value) if isinstance(value, str) else None
    except InvalidResolver as error:
        raise ValueError(f"{name}: {error}") from None
    if found is None or str(found) != value:
        raise ValueError(f"{name}: not a resolver in its canonical form: {str(value)[:60]}")
    parse_host(str(found.address), name)
    return value


def read_addresses(values: list[Any], name: str) -> tuple[str, ...]:
    """Return one address, or one of each family; raises ValueError."""
    addresses = tuple(parse_host(each, name) for each in values)
    if not addresses or len({":" in address for address in addresses}) != len(addresses):
        raise ValueError(f"{name}: not one address of each family")
    return addresses


def parse_prefix(value: object, name: str) -> str:
    """Return one prefix in its canonical text; raises ValueError."""
    try:
        network = ipaddress.ip_network(value) if isinstance(value, str) else None
    except ValueError:
        network = None
    if network is None or str(network) != value:
        raise ValueError(
            f"{name}: not a prefix in its canonical form, such as 192.0.2.0/24: {str(value)[:60]}"
        )
    if network.prefixlen == 0:
        raise ValueError(f"{name}: {value} is everything, not a CDN's")
    return value


def parse_endpoints(values: list[Any]) -> tuple[Endpoint, ...]:
    """Return one endpoint or two, of different families; raises ValueError."""
    found = tuple(map(_parse_endpoint, values))
    if not found or len({address.version for address, _ in found}) != len(found):
        raise ValueError("endpoints: not one ADDRESS:PORT of each family")
    return found


def _parse_endpoint(value: object) -> Endpoint:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else 0
    except ValueError:
        address, number = ipaddress.ip_address("0.0.0.0"), 0
    if not 1 <= number <= 65535 or format_endpoint(str(address), number) != value:
        raise ValueError(f"endpoints: not ADDRESS:PORT or [IPV6]:PORT: {str(value)[:60]}")
    return address, number


def _read_key(fields: Any, name: str) -> bytes:
    try:
        return parse_key(fields.get(name))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
