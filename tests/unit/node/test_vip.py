"""Locators of a VIP: the protocol's arithmetic, for every address that the VIP has."""

import pytest

from node.vip import Locator, Vip, has_locator, locator_addresses, vip_from_json

PORTS = Vip("main", "203.0.113.1", "2001:db8:a::")
ADDRESSES = Vip("main", "203.0.113.1", "2001:db8:a::", locator=Locator.ADDRESS)
MIXED = Vip("main", "203.0.113.1", "2001:db8:a::", locator=Locator.MIXED)


def test_port_locators_are_the_vip_and_address_locators_lie_beside_it() -> None:
    assert PORTS.locator_of("203.0.113.1", 7) == ("203.0.113.1", 10007)
    assert ADDRESSES.locator_of("203.0.113.1", 7) == ("203.0.113.7", 443)
    assert ADDRESSES.locator_of("2001:db8:a::", 0x107) == ("2001:db8:a::107", 443)
    assert locator_addresses(PORTS, 7) == PORTS.addresses
    assert locator_addresses(ADDRESSES, 7) == ("203.0.113.7", "2001:db8:a::7")


def test_mixed_locators_are_ports_over_ipv4_and_addresses_over_ipv6() -> None:
    assert MIXED.locator_of("203.0.113.1", 0x107) == ("203.0.113.1", 10000 + 0x107)
    assert MIXED.locator_of("2001:db8:a::", 0x107) == ("2001:db8:a::107", 443)
    assert locator_addresses(MIXED, 7) == ("203.0.113.1", "2001:db8:a::7")


@pytest.mark.parametrize(
    ("vip", "edge_id", "has"),
    [
        (PORTS, 0, False),
        (PORTS, 1, True),
        (PORTS, 55535, True),
        (PORTS, 55536, False),
        (ADDRESSES, 0, False),
        (ADDRESSES, 1, False),  # the VIP itself
        (ADDRESSES, 2, True),
        (ADDRESSES, 255, True),
        (ADDRESSES, 256, False),
        (MIXED, 1, True),
        (MIXED, 256, True),
        (Vip("main", None, "2001:db8:a::", locator=Locator.ADDRESS), 65535, True),
        (Vip("main", None, "2001:db8:a::", locator=Locator.ADDRESS), 65536, False),
    ],
)
def test_an_id_has_a_locator_where_every_address_can_carry_it(vip: Vip, edge_id: int, has: bool) -> None:
    assert has_locator(vip, edge_id) is has


def test_loopback_is_for_tests_alone() -> None:
    value = Vip("main", "127.0.0.1", None).to_json()
    with pytest.raises(ValueError, match="v4"):
        vip_from_json(value)
    assert vip_from_json(value, allow_loopback=True).v4 == "127.0.0.1"
