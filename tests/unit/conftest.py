"""Under every unit test: no key and nonce are ever used twice on different input."""

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from smkex.core.keys import aead_key


@pytest.fixture(autouse=True)
def sealed(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[bytes, bytes], bytes]:
    """Fail the test that seals different input under one key and nonce; {(key, nonce): associated data and digest}.

    It stands between `smkex.core` and the ciphers, so that it sees the same of a compiled core.
    """
    used: dict[tuple[bytes, bytes], bytes] = {}

    def watched(make: Any) -> Any:
        class Watched:
            def __init__(self, key: bytes) -> None:
                self._key, self._cipher = key, make(key)
                self.decrypt = self._cipher.decrypt

            def encrypt(self, nonce: bytes, data: bytes | memoryview, associated: bytes) -> bytes:
                digest = associated + hashlib.blake2b(data).digest()
                assert used.setdefault((bytes(self._key), nonce), digest) == digest, (
                    f"nonce {nonce.hex()} used twice"
                )
                sealed: bytes = self._cipher.encrypt(nonce, data, associated)
                return sealed

        return Watched

    monkeypatch.setattr(aead_key, "AESGCM", watched(AESGCM))
    monkeypatch.setattr(aead_key, "ChaCha20Poly1305", watched(ChaCha20Poly1305))
    return used
