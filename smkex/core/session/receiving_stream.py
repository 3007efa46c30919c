"""The receiving half of a stream: records are opened, reassembled, and counted up to the authenticated end.

Records are sealed once, so those of the key step before still arrive after a step, in any order: their keys are kept
until the stream has passed the DSN at which the peer's new step begins.
"""

from smkex.core.errors import BadRecord, MisusedStream
from smkex.core.keys.epoch_chain import EPOCH_SHIFT, EpochChain
from smkex.core.session.reassembly import Reassembly
from smkex.core.session.record import OVERHEAD, PHASE_SHIFT, read_dsn
from smkex.core.wire.frame import HEADER_LENGTH


class ReceivingStream(Reassembly):
    """A reassembled stream with its end. `final` is its length, once the peer has stated it.

    `keys` are those of the current key step, `candidate` those of the next while it is not known to be complete.
    """

    def __init__(self, keys: EpochChain, window: int, start: int = 0) -> None:
        super().__init__(window, start)
        self.keys = keys
        self.candidate: EpochChain | None = None
        self._previous: EpochChain | None = None  # of the step before, which may be erased
        self._step_from: int | None = None  # where the current step begins, once the peer has stated it
        self._mark = self.next  # the DSN at which keys are to be erased next
        self.final: int | None = None
        self.ended = False

    def add_record(self, dsn: int, data: bytes) -> list[bytes]:
        """Add one authenticated record; keys of epochs and steps that the stream has passed are erased."""
        ready = super().add_record(dsn, data)
        if self.next >= self._mark:
            self._erase_passed()
        return ready

    @property
    def settled(self) -> bool:
        """Whether the keys of the step before are erased."""
        return self._previous is None

    def find_chain(self, frame: bytes) -> EpochChain | None:
        """Return the keys of a record of another phase than the current one; raises `BadRecord`.

        None for a record that lies below what is received, which it repeats.
        """
        phase, previous, candidate = frame[HEADER_LENGTH] >> PHASE_SHIFT, self._previous, self.candidate
        if candidate is not None and phase == candidate.phase:
            candidate.advance_to(self.next >> EPOCH_SHIFT)
            return candidate
        end = read_dsn(frame) + len(frame) - OVERHEAD
        if end <= self.next:
            return None
        if previous is None or phase != previous.phase:
            raise BadRecord
        if self._step_from is not None and end > self._step_from:
            raise BadRecord
        return previous

    def begin_step(self, keys: EpochChain) -> None:
        """Make `keys` the current ones; those before open records until the stream has passed them."""
        if self._previous is not None:
            self._previous.erase()
        self._previous, self.keys = self.keys, keys
        self._step_from = self.candidate = None
        self._erase_passed()

    def set_step_from(self, dsn: int) -> None:
        """Set where the peer's records of the current step begin. Raises `MisusedStream` if that moves."""
        if self._step_from not in (None, dsn):
            raise MisusedStream("the beginning of a key step moved")
        if self._step_from is None:
            self._step_from = dsn
            self._erase_passed()

    def release_ciphers(self) -> None:
        """Free what the keys can make again when they are used: the session is idle."""
        for chain in (self.keys, self._previous):
            if chain is not None:
                chain.release_ciphers()

    @property
    def acknowledgement(self) -> int:
        """The DSN below which everything has arrived; the end counts as one byte."""
        return self.next + (1 if self.ended else 0)

    def set_final(self, final: int) -> None:
        """Set the length of the stream. Raises `MisusedStream` if it changes or lies below received bytes."""
        if self.final not in (None, final) or final < self.next:
            raise MisusedStream("the end of the stream moved")
        self.final = final

    def check_end(self) -> bool:
        """Whether the end of the stream has been reached just now."""
        if self.ended or self.final is None or self.next != self.final:
            return False
        self.ended = True
        return True

    def _erase_passed(self) -> None:
        """Erase the keys of what lies below `next`, and find the DSN at which some are to be erased next."""
        epoch = self.next >> EPOCH_SHIFT
        self.keys.advance_to(epoch)
        self._mark = epoch + 1 << EPOCH_SHIFT
        previous, step_from = self._previous, self._step_from
        if previous is None:
            return
        previous.advance_to(epoch)
        if step_from is None:
            return
        if self.next >= step_from:
            previous.erase()
            self._previous = None
        else:
            self._mark = min(self._mark, step_from)
