"""A record's nonce is IV XOR number (RFC 8446 section 5.3), for each of both."""

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from smkex.core.keys.aead_key import AEAD_NONCE_LENGTH, AeadKey
from smkex.core.wire.messages import Aead

KEY = bytes(range(16))


@given(st.binary(min_size=AEAD_NONCE_LENGTH, max_size=AEAD_NONCE_LENGTH), st.integers(0, (1 << 62) - 1))
def test_the_nonce_is_iv_xor_number(iv: bytes, number: int) -> None:
    nonce = bytes(a ^ b for a, b in zip(iv, number.to_bytes(AEAD_NONCE_LENGTH, "big"), strict=True))
    sealed = AeadKey(Aead.AES_128_GCM, KEY, iv).seal(number, b"data", b"associated")
    assert sealed == AESGCM(KEY).encrypt(nonce, b"data", b"associated")
    assert AeadKey(Aead.AES_128_GCM, KEY, iv).open(number, sealed, b"associated") == b"data"
