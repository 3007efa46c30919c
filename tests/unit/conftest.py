"""Under every unit test: no key and nonce are ever used twice on different input."""

import hashlib
from weakref import WeakKeyDictionary

import pytest

from smkex.core.messages import Aead
from smkex.core.schedule import AeadKey


@pytest.fixture(autouse=True)
def sealed(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[bytes, int], bytes]:
    """Fail the test that seals different input under one key and number; {(key, number): digest of the input}."""
    used: dict[tuple[bytes, int], bytes] = {}
    names: WeakKeyDictionary[AeadKey, bytes] = WeakKeyDictionary()
    original_init, original_seal = AeadKey.__init__, AeadKey.seal

    def remember(self: AeadKey, aead: Aead, key: bytes, iv: bytes) -> None:
        names[self] = key + iv
        original_init(self, aead, key, iv)

    def seal(self: AeadKey, number: int, data: bytes | memoryview, associated: bytes) -> bytes:
        digest = hashlib.blake2b(b"%d|" % len(associated) + associated + data).digest()
        assert used.setdefault((names[self], number), digest) == digest, f"number {number} used twice"
        return original_seal(self, number, data, associated)

    monkeypatch.setattr(AeadKey, "__init__", remember)
    monkeypatch.setattr(AeadKey, "seal", seal)
    return used
