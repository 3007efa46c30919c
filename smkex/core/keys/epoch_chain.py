"""The data keys of one sender: a chain of epochs of 16 MiB of the stream, without messages.

Each epoch's secret gives its key and the next epoch's secret, by which it is overwritten when that epoch begins. The
chain holds the key and the secret of the current epoch: earlier keys are gone, later ones are not derived.
"""

from typing import Final

from smkex.core.errors import BadRecord
from smkex.core.keys.aead_key import AeadKey, expand_aead_key, expand_secret
from smkex.core.keys.key_schedule import KeySchedule

EPOCH_SHIFT: Final = 24
EPOCH_LENGTH: Final = 1 << EPOCH_SHIFT  # bytes of the stream
DSN_BITS: Final = 62  # of a DSN in its field; the two above are the phase
LAST_EPOCH: Final = 1 << (DSN_BITS - EPOCH_SHIFT)  # beyond every DSN
PHASES: Final = 4  # key steps that the field of a DSN tells apart


class EpochChain:
    """Keys of the records that `sender` ("client" or "server") seals under one key step, from epoch `epoch` on.

    It takes the chain's first secret, that of epoch `origin`, out of `keys`. `phase` is the step's number modulo 4.
    """

    def __init__(self, keys: KeySchedule, sender: str, epoch: int = 0, origin: int = 0) -> None:
        self._aead, self._label = keys.aead, keys.label
        self._sender, self._report = sender, keys.report
        self._secret = keys.take_root(f"{sender} data")
        self.step = keys.step
        self.phase = keys.step % PHASES
        self.epoch = origin
        self._key: AeadKey | None = None  # until it is first used
        self._next: AeadKey | None = None
        self.advance_to(epoch)

    def find_key(self, epoch: int) -> AeadKey | None:
        """Return the key of the current or the next epoch; None for one that has passed, whose key is erased.

        Raises `BadRecord` for a later one, which no window permits.
        """
        if epoch == self.epoch:
            if self._key is None:
                self._key = self._expand_key(epoch, self._secret)
            return self._key
        if epoch < self.epoch:
            return None
        if epoch > self.epoch + 1:
            raise BadRecord
        if self._next is None:
            self._next = self._expand_key(epoch, self._next_secret())
        return self._next

    def advance_to(self, epoch: int) -> None:
        """Make `epoch` the current one and erase the keys of those before."""
        while self.epoch < epoch:
            if self._key is not None:
                self._key.erase()
            self._key, self._next = self._next, None
            self._secret[:] = self._next_secret()
            self.epoch += 1

    def erase(self) -> None:
        """Overwrite all keys: every epoch has passed."""
        for key in (self._key, self._next):
            if key is not None:
                key.erase()
        self._key = self._next = None
        self._secret[:] = bytes(len(self._secret))
        self.epoch = LAST_EPOCH

    def release_ciphers(self) -> None:
        """Free what the keys can make again when they are used: the session is idle."""
        for key in (self._key, self._next):
            if key is not None:
                key.release_cipher()

    def _next_secret(self) -> bytes:
        return expand_secret(self._secret, self._label + b" next")

    def _expand_key(self, epoch: int, secret: bytes | bytearray) -> AeadKey:
        name = f"{self._sender} data {self.step} {epoch}"
        return expand_aead_key(self._aead, secret, self._label, name, self._report)

    def __repr__(self) -> str:
        return "EpochChain(redacted)"
