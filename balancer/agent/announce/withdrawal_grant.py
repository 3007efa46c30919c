"""Leave to withdraw for a soft failure: asked of the control plane by each heartbeat, and ended by the clock.

No answer is no: a control plane that is away must not cost the fleet an edge. Time is passed in.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Leave:
    """What this edge may do about its soft failures. `patience`: seconds to wait for the first answer."""

    patience: float
    _asking_since: float | None = None
    _until: float | None = None
    _refused: bool = False

    def look(self, soft: bool, now: float) -> None:
        """Begin to ask when a soft failure begins, and end when it does; nothing of it outlives it."""
        if not soft:
            self._asking_since, self._until, self._refused = None, None, False
        elif self._asking_since is None:
            self._asking_since = now

    @property
    def asking(self) -> bool:
        return self._asking_since is not None

    def answered(self, sent_at: float, seconds: float | None) -> None:
        """Take in the answer to a heartbeat that asked; `seconds` count from when it was sent, None is no."""
        if self._asking_since is None or sent_at < self._asking_since:
            return  # about an earlier failure
        self._until = None if seconds is None else sent_at + seconds
        self._refused = seconds is None

    def granted(self, now: float) -> bool:
        """Whether to be withdrawn now."""
        return self._until is not None and now < self._until

    def must_announce(self, now: float) -> bool:
        """Whether to announce in spite of the failure: refused, run out, or nobody answers."""
        if self._asking_since is None or self.granted(now):
            return False
        return self._refused or self._until is not None or now - self._asking_since > self.patience
