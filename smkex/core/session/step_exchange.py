"""Both sides of one attempt at a key step: SMKEX over paths of a running session, sealed under the keys before it.

Pure functions of messages and entropy: when to begin, and what to do with the keys, is the session's. The binding that
comes back on the nonce path is that of what the edge saw on the share path, so an attacker who holds the session's
keys and is active on one of the two paths is detected (SMKEX section 5).
"""

import hashlib
import hmac
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from smkex.core.errors import StepMismatch, WrongPath
from smkex.core.keys.key_agreement import KEM_SEED_LENGTH, ClientKeys, Encapsulate, answer_share
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.session.step_message import (
    StepMessage,
    encode_step_answer,
    encode_step_binding,
    encode_step_finished,
    encode_step_nonce,
    encode_step_share,
)
from smkex.core.wire.codec import length_prefixed
from smkex.core.wire.messages import DIGEST_LENGTH, NONCE_LENGTH, SHARE_LENGTH
from smkex.core.wire.named_group import NamedGroup

Entropy = Callable[[int], bytes]  # so many fresh random bytes


def bind_step(label: bytes, client_nonce: bytes, server_nonce: bytes, share: bytes, answer: bytes) -> bytes:
    """Return the binding of the nonce path to the share path (32 bytes)."""
    covered = length_prefixed(label + b" step binding", client_nonce, server_nonce, share, answer)
    return hashlib.sha256(covered).digest()


def hash_step(label: bytes, *messages: bytes) -> bytes:
    """Return the transcript hash of a step: StepShare, StepAnswer, StepNonce, StepBinding without its MAC."""
    return hashlib.sha256(length_prefixed(label + b" step", *messages)).digest()


class StepAttempt:
    """The client's side of one attempt. `keys` are the session's, `epoch` that of the client's stream."""

    def __init__(
        self,
        keys: KeySchedule,
        group: NamedGroup,
        attempt: int,
        paths: tuple[int, int],
        epoch: int,
        entropy: Entropy,
    ) -> None:
        self._keys = keys
        self._group = group
        self._private = ClientKeys(entropy(SHARE_LENGTH), entropy(KEM_SEED_LENGTH), (group,))
        self._nonce = entropy(NONCE_LENGTH)
        self.step, self.attempt = keys.step + 1, attempt
        self.share_path, self.nonce_path = paths
        self.epoch = epoch
        self.share = encode_step_share(
            self.step, attempt, self.share_path, self.nonce_path, epoch, self._private.shares[0][1]
        )
        self.nonce = encode_step_nonce(self.step, attempt, self._nonce)
        self._answer: StepMessage | None = None
        self._binding: StepMessage | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the edge takes part in this attempt."""
        return self._answer is not None or self._binding is not None

    def receive_answer(self, path: int, message: StepMessage) -> None:
        """Take the StepAnswer that came on `path`; raises `WrongPath`."""
        if path != self.share_path:
            raise WrongPath(f"a StepAnswer came on path {path}, not on {self.share_path}")
        self._answer = message

    def receive_binding(self, path: int, message: StepMessage) -> None:
        """Take the StepBinding that came on `path`; raises `WrongPath`."""
        if path != self.nonce_path:
            raise WrongPath(f"a StepBinding came on path {path}, not on {self.nonce_path}")
        self._binding = message

    def conclude(self) -> "ConcludedStep | None":
        """Return the outcome once both messages are there; raises `StepMismatch`, `BadShare`."""
        answer, binding = self._answer, self._binding
        if answer is None or binding is None:
            return None
        label = self._keys.label
        bound = bind_step(label, self._nonce, binding.value, self.share, answer.body)
        if not hmac.compare_digest(bound, binding.binding):
            raise StepMismatch
        th = hash_step(label, self.share, answer.body, self.nonce, binding.body[:-DIGEST_LENGTH])
        keys = self._keys.next_step(self._private.agree(self._group, answer.value), th)
        if not hmac.compare_digest(keys.server_mac(), binding.mac):
            raise StepMismatch
        finished = encode_step_finished(self.step, self.attempt, keys.step_finished())
        return ConcludedStep(keys, self.nonce_path, self.epoch, answer.epoch, finished)

    def __repr__(self) -> str:
        return "StepAttempt(redacted)"


class ConcludedStep:
    """What a client's attempt gave: the next schedule, where each stream's chain begins, and the StepFinished."""

    __slots__ = ("client_epoch", "finished", "keys", "nonce_path", "server_epoch")

    def __init__(
        self, keys: KeySchedule, nonce_path: int, client_epoch: int, server_epoch: int, finished: bytes
    ) -> None:
        self.keys = keys
        self.nonce_path = nonce_path
        self.client_epoch = client_epoch
        self.server_epoch = server_epoch
        self.finished = finished


class StepAnswerer:
    """The edge's side of one attempt, from its StepShare on. `answer` is to be sent on the share path.

    Raises `BadShare`.
    """

    def __init__(
        self,
        keys: KeySchedule,
        group: NamedGroup,
        share: StepMessage,
        epoch: int,
        entropy: Entropy,
        encapsulate: Encapsulate,
    ) -> None:
        private = X25519PrivateKey.from_private_bytes(entropy(SHARE_LENGTH))
        answer, self._secret = answer_share(group, share.value, private, encapsulate)
        self._keys = keys
        self._share = share
        self._nonce = entropy(NONCE_LENGTH)
        self.step, self.attempt = share.step, share.attempt
        self.share_path, self.nonce_path = share.share_path, share.nonce_path
        self.client_epoch, self.server_epoch = share.epoch, epoch
        self.answer = encode_step_answer(share.step, share.attempt, epoch, answer)
        self.candidate: KeySchedule | None = None

    def receive_nonce(self, path: int, message: StepMessage) -> bytes:
        """Return the StepBinding for the StepNonce that came on `path`; raises `WrongPath`."""
        if path != self.nonce_path:
            raise WrongPath(f"a StepNonce came on path {path}, not on {self.nonce_path}")
        label = self._keys.label
        bound = bind_step(label, message.value, self._nonce, self._share.body, self.answer)
        unproven = encode_step_binding(self.step, self.attempt, self._nonce, bound)
        th = hash_step(label, self._share.body, self.answer, message.body, unproven)
        self.candidate = self._keys.next_step(self._secret, th)
        return unproven + self.candidate.server_mac()

    def receive_finished(self, path: int, message: StepMessage) -> KeySchedule:
        """Return the next schedule, which the client holds too; raises `WrongPath`, `StepMismatch`."""
        if path != self.nonce_path:
            raise WrongPath(f"a StepFinished came on path {path}, not on {self.nonce_path}")
        candidate = self.candidate
        if candidate is None or not hmac.compare_digest(candidate.step_finished(), message.value):
            raise StepMismatch
        return candidate

    def __repr__(self) -> str:
        return "StepAnswerer(redacted)"
