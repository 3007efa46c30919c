"""Settings of the relay: flags, then environment SENNIT_RELAY_*, then the file of `--config`, then defaults."""

import ipaddress
import re
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from relay.configuration import (
    DEFAULT_MTU,
    LARGEST_MTU,
    SMALLEST_MTU,
    Endpoint,
    parse_host,
    parse_interface_name,
    parse_name,
    parse_prefix,
    parse_resolver,
)
from runtime.settings import DaemonSettings, settings_config
from smkex.transport.resolution.resolver_address import ResolverAddress

DEFAULT_STATE = Path("/var/lib/sennit-relay")
_PORTS = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?", re.ASCII)


class RelaySettings(DaemonSettings):
    """Run a WireGuard relay: hosts with one interface reach the CDN through it, and nothing else."""

    model_config = settings_config("SENNIT_RELAY_", "sennit relay run")

    state: Path = Field(default=DEFAULT_STATE, description="folder of the relay's key and peers")
    name: str = Field(default="relay", description="name of this relay in clients' configurations")
    interface: str = Field(default="sennit-relay", description="the WireGuard interface to make")
    endpoint: tuple[str, ...] = Field(
        description="address at which clients reach this host; at most one of each family (repeatable)"
    )
    listen_port: int = Field(default=51820, ge=1, le=65535, description="UDP port of WireGuard")
    prefix: tuple[str, ...] = Field(description="prefix of the CDN's service addresses (repeatable)")
    port: tuple[str, ...] = Field(
        default=("443", "10000-65535"),
        description="TCP port or range of the CDN: service port, locators (repeatable)",
    )
    resolver: tuple[str, ...] = Field(
        default=(),
        description="name server that clients may ask through the relay: ADDRESS, tls://ADDRESS#NAME or"
        " https://ADDRESS/dns-query#NAME (repeatable)",
    )
    network: tuple[str, ...] = Field(
        default=("10.71.0.0/16", "fd73:656e:6e69:71::/64"),
        description="addresses inside the tunnels, at most one prefix of each family (repeatable)",
    )
    source_nat: bool = Field(
        default=True,
        description="translate clients' addresses to this host's; without it --network is routed to this host",
    )
    mtu: int = Field(
        default=DEFAULT_MTU,
        ge=SMALLEST_MTU,
        le=LARGEST_MTU,
        description="MTU inside the tunnels, at least 80 bytes less than the way to clients carries",
    )
    max_peers: int = Field(default=250, ge=1, le=10_000, description="clients at most")
    peer_connections: int = Field(default=512, ge=1, le=65535, description="connections of one client")
    peer_rate: int = Field(
        default=200, ge=1, le=100_000, description="Mbit/s of one client in each direction"
    )
    peer_connection_rate: int = Field(
        default=100, ge=1, le=10_000, description="new connections of one client a second"
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return parse_name(value, "name")

    @field_validator("interface")
    @classmethod
    def _check_interface(cls, value: str) -> str:
        return parse_interface_name(value)

    @field_validator("endpoint")
    @classmethod
    def _check_endpoints(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        addresses = [ipaddress.ip_address(parse_host(value, "endpoint")) for value in values]
        if not addresses or len({address.version for address in addresses}) != len(addresses):
            raise ValueError("not one address of each family")
        return values

    @field_validator("prefix")
    @classmethod
    def _check_prefixes(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if not values:
            raise ValueError("at least one is needed")
        return tuple(parse_prefix(value, "prefix") for value in values)

    @field_validator("resolver")
    @classmethod
    def _check_resolvers(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(parse_resolver(str(ResolverAddress.parse(value)), "resolver") for value in values)

    @field_validator("port")
    @classmethod
    def _check_ports(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            found = _PORTS.fullmatch(value)
            first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
            if not 1 <= first <= last <= 65535:
                raise ValueError(f"not a port or FIRST-LAST: {value[:60]}")
        if not values:
            raise ValueError("at least one is needed")
        return values

    @field_validator("network")
    @classmethod
    def _check_networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        networks = [ipaddress.ip_network(parse_prefix(value, "network")) for value in values]
        if not networks or len({network.version for network in networks}) != len(networks):
            raise ValueError("not one prefix of each family")
        return values

    @property
    def resolvers(self) -> tuple[ResolverAddress, ...]:
        return tuple(map(ResolverAddress.parse, self.resolver))

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where clients reach the relay."""
        return tuple((ipaddress.ip_address(address), self.listen_port) for address in self.endpoint)

    @model_validator(mode="after")
    def _check_room(self) -> Self:
        for value in self.network:
            network = ipaddress.ip_network(value)
            if network.num_addresses < self.max_peers + 4:  # its own, and the first and last of IPv4
                raise ValueError(f"--network {value} has no room for --max-peers {self.max_peers}")
            for other in (*self.prefix, *(each.address for each in self.resolvers)):
                if network.version == ipaddress.ip_network(other).version and network.overlaps(
                    ipaddress.ip_network(other)
                ):
                    raise ValueError(f"--network {value} overlaps {other}")
        return self
