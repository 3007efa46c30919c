"""The resolvers of resolv.conf(5), whose questions are led to the one on loopback, also once the file changes."""

import asyncio
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from capture.maps import Address, CaptureMaps
from smkex.transport.resolution.resolv_conf import RESOLV_CONF, read_resolv_conf

LIMIT = 16  # of the programs' map; the system's own library asks three
INTERVAL = 1.0  # seconds


class SystemResolvers:
    """`addresses` are those that programs ask now, 127.0.0.1 where the file names none."""

    def __init__(self, maps: CaptureMaps, path: Path = RESOLV_CONF) -> None:
        self._maps, self._path = maps, path
        self.addresses: list[Address] = []
        self._redirected: list[Address] = []

    def refresh(self) -> None:
        """Read the file. Earlier ones stay led to loopback up to the limit: programs may have kept them."""
        found = _read_resolvers(self._path)
        if found == self.addresses:
            return
        self.addresses = found
        redirected = list(dict.fromkeys([*found, *self._redirected]))
        for address in set(redirected[LIMIT:]) & set(self._redirected):
            self._maps.release_resolver(address)
        for address in redirected[:LIMIT]:
            self._maps.redirect_resolver(address)
        self._redirected = redirected[:LIMIT]

    async def follow(self) -> None:
        """Read the file again each second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            self.refresh()


def _read_resolvers(path: Path) -> list[Address]:
    """A link-local address keeps its zone: without it questions cannot be passed on."""
    found: list[Address] = [
        IPv6Address(f"{address}%{zone}") if zone else address for address, zone in read_resolv_conf(path)
    ]
    return found or [IPv4Address("127.0.0.1")]
