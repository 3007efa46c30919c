"""Addresses are unicast by RFC 6890 and RFC 4291, whatever their spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.addresses import parse_unicast

REFUSED_V4 = "0.0.0.0 0.0.0.1 127.0.0.1 169.254.1.1 192.0.0.8 224.0.0.1 239.1.2.3 240.0.0.1 255.255.255.255"
REFUSED_V6 = (
    ":: ::1 ::ffff:10.255.0.2 ::FFFF:0AFF:2 ::10.0.0.1 64:ff9b::1 64:ff9b:1::1 100::1 2001::1 2002:a00::1 "
    "fe80::1 febf::1 fec0::1 ff02::1 2001:db8::1%eth0"
)


@pytest.mark.parametrize("text", REFUSED_V4.split())
def test_special_ipv4_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a unicast IPv4 address"):
        parse_unicast(text, 4)


@pytest.mark.parametrize("text", REFUSED_V6.split())
def test_special_ipv6_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a unicast IPv6 address"):
        parse_unicast(text, 6)


@pytest.mark.parametrize(
    ("text", "version", "canonical"),
    [
        ("10.255.0.1", 4, "10.255.0.1"),
        ("100.64.0.1", 4, "100.64.0.1"),
        ("198.18.0.1", 4, "198.18.0.1"),
        ("203.0.113.1", 4, "203.0.113.1"),
        ("fd00:0:0::1", 6, "fd00::1"),
        ("2001:DB8::1", 6, "2001:db8::1"),
        ("2606:4700::1111", 6, "2606:4700::1111"),
    ],
)
def test_unicast_addresses_are_compressed(text: str, version: int, canonical: str) -> None:
    assert parse_unicast(text, version) == canonical


@pytest.mark.parametrize(
    "wrong", [None, 1, True, "", "x", "1.2.3", "01.2.3.4", "1.2.3.4/32", b"\x01\x02\x03\x04", []]
)
def test_anything_else_is_no_address(wrong: object) -> None:
    with pytest.raises(ValueError, match="not an address"):
        parse_unicast(wrong, 4)


def test_an_address_of_the_other_version_is_refused() -> None:
    with pytest.raises(ValueError, match="IPv6"):
        parse_unicast("2001:db8::1", 4)


def test_loopback_is_allowed_where_it_is_asked_for() -> None:
    assert parse_unicast("127.0.0.1", 4, allow_loopback=True) == "127.0.0.1"
    assert parse_unicast("::1", 6, allow_loopback=True) == "::1"
    with pytest.raises(ValueError, match="this network"):
        parse_unicast("0.0.0.1", 4, allow_loopback=True)


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_that_embeds_ipv4_passes(address: object) -> None:
    text = str(address)
    try:
        assert parse_unicast(text, 6) == text
    except ValueError:
        return
    assert address.ipv4_mapped is None  # type: ignore[attr-defined]
    assert address.sixtofour is None  # type: ignore[attr-defined]
    assert address.teredo is None  # type: ignore[attr-defined]
    assert not address.is_link_local  # type: ignore[attr-defined]
    assert not address.is_multicast  # type: ignore[attr-defined]
