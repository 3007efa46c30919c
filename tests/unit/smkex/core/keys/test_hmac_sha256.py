"""HMAC by two hashes gives what the standard library's does, for each key and message."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smkex.core.keys.hmac_sha256 import BLOCK_LENGTH, HmacKey, hmac_sha256


@given(st.binary(max_size=BLOCK_LENGTH), st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_it_is_the_mac_of_the_standard_library(key: bytes, messages: list[bytes]) -> None:
    prepared = HmacKey(bytearray(key))
    for message in messages:
        expected = hmac.digest(key, message, "sha256")
        assert prepared.digest(message) == hmac_sha256(key, message) == expected


def test_a_longer_key_is_refused_and_none_is_shown() -> None:
    with pytest.raises(ValueError, match="65 bytes"):
        HmacKey(bytes(65))
    assert repr(HmacKey(b"secret")) == "HmacKey(redacted)"
