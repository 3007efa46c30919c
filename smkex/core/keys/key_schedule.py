"""The key schedule: from transcript and secrets of the key exchange to every key (docs/protocol, "Keys").

PRK = HKDF-Extract(salt, secrets, each length-prefixed); root = HKDF-Expand(PRK, label, purpose and th). The nonces of
path 1 enter through th, the hash of all messages. PRK is dropped as soon as the roots are derived. The salt of the key
exchange is the label, that of a key step the root "step" of the schedule before.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from smkex.core.errors import StepChanged
from smkex.core.keys.aead_key import AeadKey, KeyReport, expand_aead_key, expand_secret
from smkex.core.keys.hmac_sha256 import HmacKey, hmac_sha256
from smkex.core.wire.codec import length_prefixed, u8
from smkex.core.wire.messages import VERSION, Aead, ClientNonce, Mode

_PREFIX = f"sennit smkex {VERSION}"
# each root has one use; those of data leave the schedule when the session takes them
ROOTS = (
    "server mac",
    "client finished",
    "server ready",
    "server join",
    "client join",
    "client data",
    "server data",
    "client control",
    "server control",
    "step",
    "exporter",
    "session tag",
)
# of the key exchange alone, and kept as long as the session
_KEPT_ROOTS = ("exporter", "session tag")
_EXCHANGE_ROOTS = frozenset((*_KEPT_ROOTS, "server ready"))
STEP_ROOTS = tuple(purpose for purpose in ROOTS if purpose not in _EXCHANGE_ROOTS)
_PURPOSES = [(purpose, b" " + purpose.encode()) for purpose in ROOTS]
_STEP_PURPOSES = [(purpose, b" " + purpose.encode()) for purpose in STEP_ROOTS]


_MODE_LABELS: Final = {mode: f"{_PREFIX} {mode.name.lower()}".encode() for mode in Mode}


def mode_label(mode: Mode) -> bytes:
    """The label that begins salt and purposes: protocol, version and mode."""
    return _MODE_LABELS[mode]


def commit_to_nonce(session_id: bytes, nonce: bytes) -> bytes:
    """Return the commitment to N_C that path 0 carries (32 bytes): only the client can open it on path 1."""
    return hashlib.sha256(length_prefixed(_PREFIX.encode() + b" commitment", session_id, nonce)).digest()


def compute_binding(
    mode: Mode, client_nonce: ClientNonce, server_nonce: bytes, first: bytes, second: bytes, rest: bytes
) -> bytes:
    """Return the hash that binds path 0 to path 1 (32 bytes; SMKEX section 5).

    `first` and `second` are what client and edge sent on path 0: the frames of ClientShare and ServerShare; in mode
    mtls the hello messages of TLS with ClientInfo, and ServerInfo.
    """
    label = mode_label(mode) + b" binding"
    return hashlib.sha256(
        length_prefixed(label, client_nonce.nonce, server_nonce, first, second, rest)
    ).digest()


def transcript_hash(
    first: bytes, second: bytes, client_nonce: ClientNonce, server_nonce_without_mac: bytes
) -> bytes:
    """Return th: SHA-256 over all messages in this order, ServerNonce without its MAC."""
    return hashlib.sha256(
        length_prefixed(first, second, client_nonce.frame, server_nonce_without_mac)
    ).digest()


def _expand_roots(
    prk: bytes, label: bytes, th: bytes, purposes: Sequence[tuple[str, bytes]]
) -> dict[str, bytearray]:
    """HKDF-Expand (RFC 5869) of each root; the key is scheduled once for all of them."""
    key = HmacKey(prk)
    return {purpose: bytearray(key.digest(label + word + th + b"\1")) for purpose, word in purposes}


class KeySchedule:
    """All keys of one candidate pair of nonces. `secrets` are outputs of key agreements or TLS's exporter.

    With `previous` it is the schedule of the key step after that one, of which `th` is the transcript. `report` is
    called with each AEAD key of the session when it is derived.
    """

    def __init__(
        self,
        mode: Mode,
        aead: Aead,
        secrets: Sequence[bytes],
        th: bytes,
        report: KeyReport | None = None,
        previous: "KeySchedule | None" = None,
    ) -> None:
        self.report = report
        self.mode = mode
        self.aead = aead
        self.th = th
        self.label = mode_label(mode)
        self.step: int = 0 if previous is None else previous.step + 1
        salt = self.label if previous is None else previous.root("step")
        prk = hmac_sha256(salt, length_prefixed(*secrets))
        self._roots = _expand_roots(prk, self.label, th, _PURPOSES if previous is None else _STEP_PURPOSES)

    def next_step(self, secret: bytes, th: bytes) -> "KeySchedule":
        """Return the schedule of the next key step, from its `secret` and transcript; raises `StepChanged`."""
        return KeySchedule(self.mode, self.aead, [secret], th, self.report, self)

    def root(self, purpose: str) -> bytes | bytearray:
        """Return a root of `ROOTS` (32 bytes) that was not taken; raises `StepChanged` for one that was erased."""
        found = self._roots.get(purpose)
        if found is None:
            raise StepChanged
        return found

    def take_root(self, purpose: str) -> bytearray:
        """Remove and return a root: what begins a chain must not outlive the chain's first step."""
        return self._roots.pop(purpose)

    def erase(self) -> None:
        """Overwrite and remove the roots: the session has made a key step. Those of exports stay."""
        for purpose in list(self._roots):
            if purpose not in _KEPT_ROOTS:
                secret = self._roots.pop(purpose)
                secret[:] = bytes(len(secret))

    def server_mac(self) -> bytes:
        """Return the MAC that ends ServerNonce and proves that the edge holds the keys (32 bytes)."""
        return hmac_sha256(self.root("server mac"), self.th)

    def finished(self, path: int) -> bytes:
        """Return the MAC of Finished on `path` (32 bytes); it verifies on no other path."""
        return hmac_sha256(self.root("client finished"), u8(path) + self.th)

    def step_finished(self) -> bytes:
        """Return the MAC of StepFinished (32 bytes): the client holds the keys of the step."""
        return hmac_sha256(self.root("client finished"), self.th)

    def ready(self, path: int) -> bytes:
        """Return the MAC of Ready on `path` (32 bytes): both Finished verified, and this path carries the session."""
        return hmac_sha256(self.root("server ready"), u8(path) + self.th)

    def join_mac(self, sender: str, join: bytes) -> bytes:
        """Return the MAC of JoinChallenge ("server") or JoinResponse ("client") for join hash `join` (32 bytes)."""
        return hmac_sha256(self.root(f"{sender} join"), join)

    def control_key(self, sender: str, path: int, join: bytes = b"") -> AeadKey:
        """The key of the control messages that `sender` seals on `path`, which joined with join hash `join`."""
        secret = expand_secret(self.root(f"{sender} control"), self.label + b" path" + u8(path) + join)
        return expand_aead_key(
            self.aead, secret, self.label, f"{sender} control {self.step} {path}", self.report
        )

    def __repr__(self) -> str:
        return "KeySchedule(redacted)"
