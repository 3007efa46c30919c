"""The meaning of an address and port: a VIP, or the locator of an edge."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from balancer.model.reference.packet import V4_PREFIX, mapped_address
from node.vip import Vip
from smkex.core.wire.locator import ADDRESS_BITS
from smkex.core.wire.messages import LocatorKind


def carries_id(address: bytes) -> tuple[bytes, int]:
    """Split an address into its prefix and the id in its low bits."""
    bits = ADDRESS_BITS[4 if address.startswith(V4_PREFIX) else 6]
    number = int.from_bytes(address, "big")
    low = number & ((1 << bits) - 1)
    return (number - low).to_bytes(16, "big"), low


def locators_overlap(one: Vip, other: Vip) -> bool:
    """Return whether an address of one VIP is an address locator of the other."""
    ours, theirs = (
        {
            carries_id(address)[0]: _locator_kind(vip, address)
            for address in map(mapped_address, vip.addresses)
        }
        for vip in (one, other)
    )
    return any(
        LocatorKind.ADDRESS in (ours[prefix], theirs[prefix]) for prefix in ours.keys() & theirs.keys()
    )


def _locator_kind(vip: Vip, address: bytes) -> LocatorKind:
    return vip.locator_kind(4 if address.startswith(V4_PREFIX) else 6)


@dataclass(frozen=True, slots=True)
class AddressMeaning:
    """A VIP's own address, or (`prefix`) one that differs from it in the low bits, with the id there.

    `by_address`: locators of this address are addresses.
    """

    vip: Vip
    by_address: bool
    prefix: bool = False
    id: int = 0

    def owner(self, port: int) -> int:
        """Return the id of the locator that this address and a port form, 0 if none."""
        if self.prefix:
            return self.id if port == self.vip.service_port else 0
        if self.by_address:
            return 0
        return max(0, port - self.vip.id_port_base)


@dataclass(frozen=True)
class Places:
    """The addresses of all VIPs."""

    vips: tuple[Vip, ...]

    @classmethod
    def of(cls, vips: Iterable[Vip]) -> "Places":
        """Collect VIPs, of those with equal names the last."""
        return cls(tuple({vip.name: vip for vip in vips}.values()))

    @cached_property
    def exact(self) -> dict[bytes, Vip]:
        return {mapped_address(text): vip for vip in self.vips for text in vip.addresses}

    @cached_property
    def prefixes(self) -> dict[bytes, Vip]:
        return {
            carries_id(address)[0]: vip
            for address, vip in self.exact.items()
            if _locator_kind(vip, address) is LocatorKind.ADDRESS
        }

    def find(self, address: bytes) -> AddressMeaning | None:
        if vip := self.exact.get(address):
            return AddressMeaning(vip, _locator_kind(vip, address) is LocatorKind.ADDRESS)
        prefix, edge_id = carries_id(address)
        if vip := self.prefixes.get(prefix):
            return AddressMeaning(vip, True, True, edge_id)
        return None
