"""Choose the records to retransmit when paths stall, close, or are slow."""

from collections.abc import Mapping

from smkex.core.session.path import Path
from smkex.core.session.record import SealedRecord
from smkex.core.session.sending_stream import SendingStream


def reschedule_stalled(paths: Mapping[int, Path], out: SendingStream) -> None:
    """Retransmit, while a path works, the records that are only on stalled paths."""
    working = stalled = 0
    for number, path in paths.items():
        if path.stalled:
            stalled |= 1 << number
        else:
            working |= 1 << number
    if not working or not stalled:
        return
    for path in paths.values():
        if path.stalled:
            for sent in path.outstanding:
                if sent.record is not None and not sent.record.paths & working:
                    out.schedule_retransmission(sent.record)


def reschedule_dropped(number: int, dropped: Path, out: SendingStream) -> None:
    """Retransmit the records that were on path `number` alone, which is closed."""
    for sent in dropped.outstanding:
        if sent.record is not None:
            sent.record.paths &= ~(1 << number)
            if not sent.record.paths:
                out.schedule_retransmission(sent.record)


def find_slow_record(paths: Mapping[int, Path], out: SendingStream) -> SealedRecord | None:
    """Return the oldest unacknowledged record if a working path has not sent it: STALL_CEILING limits its delay."""
    oldest = out.oldest
    if oldest is None or not oldest.copies:
        return None
    carriers = oldest.paths
    for number in paths:
        if not carriers >> number & 1 and not paths[number].stalled:
            return oldest
    return None
