"""The grant to withdraw for a soft failure: requested by each heartbeat, valid until its deadline.

No answer means no: an unreachable control plane must not cost the fleet an edge. Time is passed in.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class WithdrawalGrantState:
    """Whether this edge may withdraw for its soft failure. `answer_timeout`: seconds to wait for the first answer."""

    answer_timeout: float
    _asking_since: float | None = None
    _until: float | None = None
    _refused: bool = False

    def update(self, soft: bool, now: float) -> None:
        """Start to request a grant when a soft failure begins; drop request and grant when it ends."""
        if not soft:
            self._asking_since, self._until, self._refused = None, None, False
        elif self._asking_since is None:
            self._asking_since = now

    @property
    def asking(self) -> bool:
        return self._asking_since is not None

    def apply_answer(self, sent_at: float, seconds: float | None) -> None:
        """Apply the answer to a heartbeat that asked; `seconds` count from when it was sent, None is a refusal."""
        if self._asking_since is None or sent_at < self._asking_since:
            return  # about an earlier failure
        self._until = None if seconds is None else sent_at + seconds
        self._refused = seconds is None

    def granted(self, now: float) -> bool:
        """Whether a grant is held now."""
        return self._until is not None and now < self._until

    def must_announce(self, now: float) -> bool:
        """Whether to announce in spite of the failure: refused, expired, or no answer."""
        if self._asking_since is None or self.granted(now):
            return False
        return self._refused or self._until is not None or now - self._asking_since > self.answer_timeout
