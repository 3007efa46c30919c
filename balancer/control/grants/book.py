"""Grants in memory: given in the answer to a heartbeat, bounded in time, given back by not asking again.

Safe over a restart without being stored: a holder reports that it does not announce from the moment that it has the
answer, and after a start nobody counts as announcing before it has said so.
"""

from collections.abc import Collection, Iterable

from balancer.control.clock import Clock
from balancer.control.edges.leases import Leases
from balancer.control.grants.budget import Standing, may_withdraw


class GrantBook:
    """Who may be withdrawn for a soft failure, and until when."""

    def __init__(self, clock: Clock, leases: Leases, seconds: float, share: float) -> None:
        self._clock = clock
        self._leases = leases
        self._share = share
        self._until: dict[int, float] = {}
        self.seconds = seconds

    def holders(self) -> set[int]:
        """Edges whose grant has not ended."""
        now = self._clock.monotonic()
        return {edge_id for edge_id, until in self._until.items() if until > now}

    def give_back(self, edge_id: int) -> None:
        """End a grant, if there is one."""
        self._until.pop(edge_id, None)

    def ask(self, edge_id: int, active: Collection[int]) -> bool:
        """Give or renew a grant where the budget allows it. `active` is what the operator wants of the fleet.

        Counts and gives without a pause in between: two edges that ask at once are two turns.
        """
        heartbeat = self._leases.heartbeat(edge_id)
        announcing = heartbeat is None or heartbeat.announcing
        fleet = list(self._fleet(active))
        if edge_id in active and may_withdraw(edge_id, fleet, self._share, announcing=announcing):
            self._until[edge_id] = self._clock.monotonic() + self.seconds
            return True
        # one that was given and has not ended stays counted: it may still be acted on
        return False

    def _fleet(self, active: Collection[int]) -> Iterable[Standing]:
        holding = self.holders()
        for edge_id in active:
            heartbeat = self._leases.heartbeat(edge_id)
            announcing = heartbeat is not None and heartbeat.announcing and edge_id not in holding
            yield Standing(
                edge_id, active=True, announcing=announcing, well=heartbeat is not None and heartbeat.is_well
            )
