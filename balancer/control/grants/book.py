"""Withdrawal grants in memory: given in the answer to a heartbeat, limited in time, ended by not asking again.

A restart is safe although nothing is stored: a holder reports that it does not announce as soon as it has the answer,
and after a start no edge counts as announcing before it has reported so.
"""

from collections.abc import Collection, Iterable

from balancer.control.clock import Clock
from balancer.control.grants.budget import Standing, may_withdraw
from balancer.control.health.leases import Leases


class GrantBook:
    """Edges that may withdraw for a soft failure, and until when."""

    def __init__(self, clock: Clock, leases: Leases, seconds: float, share: float) -> None:
        self._clock = clock
        self._leases = leases
        self._share = share
        self._until: dict[int, float] = {}
        self.seconds = seconds

    def holders(self) -> set[int]:
        """Return the edges whose grant has not ended."""
        now = self._clock.monotonic()
        return {edge_id for edge_id, until in self._until.items() if until > now}

    def give_back(self, edge_id: int) -> None:
        """End a grant, if there is one."""
        self._until.pop(edge_id, None)

    def request_grant(self, edge_id: int, active: Collection[int]) -> bool:
        """Give or renew a grant if the budget allows it. `active` are the edges whose admin state is active.

        Counts and gives without yielding in between, so two simultaneous requests are counted one after the other.
        """
        heartbeat = self._leases.heartbeat(edge_id)
        announcing = heartbeat is None or heartbeat.announcing
        fleet = list(self._fleet(active))
        if edge_id in active and may_withdraw(edge_id, fleet, self._share, announcing=announcing):
            self._until[edge_id] = self._clock.monotonic() + self.seconds
            return True
        # a grant that has not ended stays counted: the edge may still act on it
        return False

    def _fleet(self, active: Collection[int]) -> Iterable[Standing]:
        holding = self.holders()
        for edge_id in active:
            heartbeat = self._leases.heartbeat(edge_id)
            announcing = heartbeat is not None and heartbeat.announcing and edge_id not in holding
            yield Standing(
                edge_id, active=True, announcing=announcing, well=heartbeat is not None and heartbeat.is_well
            )
