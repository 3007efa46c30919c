"""The receiving half of a stream: records are opened, reassembled, and counted up to the authenticated end."""

from smkex.core.errors import MisusedStream
from smkex.core.keys.epoch_chain import EPOCH_SHIFT, EpochChain
from smkex.core.session.reassembly import Reassembly


class ReceivingStream(Reassembly):
    """A reassembled stream with its end. `final` is its length, once the peer has stated it."""

    def __init__(self, keys: EpochChain, window: int, start: int = 0) -> None:
        super().__init__(window, start)
        self.keys = keys
        self.final: int | None = None
        self.ended = False

    def add_record(self, dsn: int, data: bytes) -> list[bytes]:
        """Add one authenticated record; keys of epochs that the stream has passed are erased."""
        ready = super().add_record(dsn, data)
        if self.next >> EPOCH_SHIFT != self.keys.epoch:
            self.keys.advance_to(self.next >> EPOCH_SHIFT)
        return ready

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
