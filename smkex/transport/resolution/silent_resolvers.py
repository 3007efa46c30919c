"""Which plain resolvers do not answer about service records: some drop what they do not know.

What is remembered spares a wait and nothing else: the question is asked each time, and an answer in time counts.
"""

from collections import OrderedDict
from dataclasses import dataclass

SILENCES = 3  # look-ups in turn without an answer, until no more is waited for one
LIFETIME = 600.0  # seconds after the last of them
LIMIT = 64  # resolvers


@dataclass(slots=True)
class _Silence:
    look_ups: int
    until: float


class SilentResolvers:
    """Look-ups by the way that they went; times are the loop's, in seconds."""

    def __init__(self) -> None:
        self._silences: OrderedDict[object, _Silence] = OrderedDict()

    def __len__(self) -> int:
        return len(self._silences)

    def is_silent(self, way: object, now: float) -> bool:
        known = self._silences.get(way)
        return known is not None and known.look_ups >= SILENCES and now < known.until

    def note_answer(self, way: object) -> None:
        self._silences.pop(way, None)

    def note_silence(self, way: object, now: float) -> None:
        """The oldest is forgotten where there are too many."""
        known = self._silences.pop(way, None)
        if known is None or now >= known.until:
            known = _Silence(0, 0.0)
        if known.look_ups < SILENCES:
            known.look_ups += 1
            known.until = now + LIFETIME
        self._silences[way] = known
        if len(self._silences) > LIMIT:
            self._silences.popitem(last=False)
