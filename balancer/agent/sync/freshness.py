"""Whether what this node has is the newest, by the control plane's signed timestamps.

An attacker between node and control plane can forge no timestamp, and an old one shows its age. So what is withheld
becomes visible by time. That is reported and changes nothing else: a node whose control plane is away keeps forwarding
and announcing.
"""

import logging
import time

from balancer.agent.state import NodeState
from balancer.model.signature import Forged
from balancer.model.timestamp import LIFETIME, Freshness, Timestamp

log = logging.getLogger(__name__)

WITHHELD_SECONDS = (
    30.0  # that a timestamp may name a newer number than this node has: another poll is under way
)


class FreshnessMonitor:
    """The newest timestamp, and since when this node lacks what it names."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._freshness = Freshness()
        self._lacking: dict[str, float] = {}
        self._last_good = time.monotonic()
        self._restore()

    @property
    def newest(self) -> Timestamp | None:
        """Return the newest timestamp; None before the first."""
        return self._freshness.newest

    def age(self) -> float:
        """Return the seconds since the newest timestamp was signed, or since this agent's start before the first."""
        now = time.monotonic()
        return min(self._freshness.age(now), now - self._last_good)

    def note_answer(self, header: str) -> None:
        """Verify the timestamp of an answer, and keep it for the forwarder. Without one an answer proves nothing."""
        if not header:
            return
        try:
            timestamp = Timestamp.open(header, self._state.table_keys())
        except Forged as error:
            log.warning("timestamp ignored", extra={"why": str(error)})
            return
        if self._freshness.accept(timestamp, time.time(), time.monotonic()):
            self._last_good = float("-inf")
            self._state.record_contact(header)

    def find_faults(self, services: int | None) -> tuple[str, ...]:
        """Return what is old here; `services`: the generation of those on disk."""
        now = time.monotonic()
        if self.age() > LIFETIME:
            return (
                f"table: no signed timestamp of the control plane for {self.age():.0f} s: it is away, something "
                "withholds its answers, or the clocks differ",
            )
        newest = self._freshness.newest
        if newest is None:
            return ()
        held = {
            "table": (newest.table, self._state.table_generation() or 0),
            "services": (newest.services, services or 0),
            "purge": (newest.purge, max((each.id for each in self._state.purges()), default=0)),
        }
        for name, (wanted, here) in held.items():
            if wanted <= here:
                self._lacking.pop(name, None)
            else:
                self._lacking.setdefault(name, now)
        return tuple(
            f"{name}: {held[name][0]} was published, and is withheld: this node has {held[name][1]}"
            for name, since in self._lacking.items()
            if now - since > WITHHELD_SECONDS
        )

    def _restore(self) -> None:
        """Take up the timestamp of before this start: it is as old as the wall clock says."""
        try:
            timestamp = Timestamp.open(self._state.kept_timestamp(), self._state.table_keys())
        except ValueError:
            return
        self._freshness.accept(timestamp, time.time(), time.monotonic())
