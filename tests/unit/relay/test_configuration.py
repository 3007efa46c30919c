"""The configuration document: one text for one configuration, and every wrong field is named."""

import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.configuration import InvalidConfiguration, PathConfiguration, RelayIdentity
from relay.wireguard.keys import create_private_key, derive_public_key, encode_key, parse_key

RELAY = RelayIdentity(
    "paris",
    ((ip_address("198.51.100.7"), 51820), (ip_address("2001:db8::7"), 51820)),
    bytes(range(32)),
    ("203.0.113.0/24", "2001:db8:5e::/64"),
    ("198.51.100.53",),
    ("10.71.0.1", "fd00::1"),
)
CONFIGURATION = PathConfiguration(RELAY, "laptop", ("10.71.0.2", "fd00::2"), bytes(32)[:31] + b"\x40")


def test_a_document_is_read_as_it_was_written() -> None:
    text = CONFIGURATION.serialize()
    assert PathConfiguration.parse(text) == CONFIGURATION
    assert PathConfiguration.parse(text).serialize() == text
    assert "private_key" not in repr(CONFIGURATION)


def test_the_relay_leads_to_the_cdn_and_answers_from_its_own_addresses_too() -> None:
    assert RELAY.destinations == ("203.0.113.0/24", "2001:db8:5e::/64", "198.51.100.53/32")
    assert set(RELAY.sources) - set(RELAY.destinations) == {"10.71.0.1/32", "fd00::1/128"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("endpoints", ["198.51.100.7:051820"]),
        ("endpoints", ["198.51.100.7:0"]),
        ("endpoints", ["198.51.100.7:1", "198.51.100.8:1"]),
        ("endpoints", ["2001:db8::7:1"]),
        ("endpoints", []),
        ("prefixes", ["2001:DB8::/32"]),
        ("prefixes", ["::/0"]),
        ("prefixes", []),
        ("prefixes", "203.0.113.0/24"),
        ("resolvers", ["224.0.0.1"]),
        ("resolvers", ["resolver.example"]),
        ("relay_addresses", ["10.71.0.1", "10.71.0.2"]),
        ("addresses", ["10.71.0.2/32"]),
        ("relay", "../etc"),
        ("peer", "Laptop"),
        ("private_key", "A" * 44),
        ("private_key", None),
        ("relay_key", encode_key(bytes(31))),
        ("mtu", 1279),
        ("mtu", True),
        ("sennit_relay", 2),
    ],
)
def test_a_wrong_field_is_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidConfiguration, match=f"^{name}"):
        PathConfiguration.parse(json.dumps({**CONFIGURATION.as_fields(), name: value}))


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidConfiguration):
        PathConfiguration.parse(text)


def test_a_long_or_deep_document_is_refused() -> None:
    for text in ("[" * 60_000, " " * 70_000):
        with pytest.raises(InvalidConfiguration):
            PathConfiguration.parse(text)


def test_a_key_has_one_text() -> None:
    key = create_private_key()
    assert parse_key(encode_key(key)) == key
    assert derive_public_key(key) != key
    text = encode_key(bytes(31) + b"\x01")
    for other in (text[:-2] + "F=", text + "\n", " " + text, text.rstrip("=")):
        with pytest.raises(ValueError, match="not a key of WireGuard"):
            parse_key(other)
