"""What the control plane allows this edge, as of its last answer, and what applies while it is silent."""

import time
from dataclasses import dataclass, field

from balancer.agent.announce.withdrawal_grant import WithdrawalGrantState
from balancer.agent.state import NodeState
from balancer.api.schemas import LeaseGrant, LeaseRequest
from balancer.model.table import EdgeState

SILENCE_LIMIT = 5.0  # seconds without an answer after which the table on disk decides


@dataclass(slots=True)
class Intent:
    """The content of the last answer, and when it arrived (monotonic)."""

    grant: WithdrawalGrantState = field(default_factory=lambda: WithdrawalGrantState(SILENCE_LIMIT))
    answered_at: float | None = None
    started_at: float = field(default_factory=time.monotonic)
    may_announce: bool = False
    silence_limit: float = SILENCE_LIMIT

    def apply_answer(self, sent_at: float, sent: LeaseRequest, grant: LeaseGrant) -> None:
        """Apply the answer to a heartbeat."""
        self.answered_at = time.monotonic()
        self.may_announce = grant.may_announce
        self.silence_limit = max(
            SILENCE_LIMIT, grant.lease_seconds / 2
        )  # heartbeats come every third of a lease
        if sent.withdraw:
            self.grant.apply_answer(sent_at, grant.grant.seconds if grant.grant else None)

    def is_silent(self, now: float) -> bool:
        """Whether the control plane has not answered for a while."""
        return now - (self.answered_at or self.started_at) > self.silence_limit

    def may_begin(self, now: float, state: NodeState, edge_id: int) -> bool:
        """Whether this edge may begin to announce: as the control plane answered, or by the table on disk."""
        if not self.is_silent(now):
            return self.may_announce
        table = state.table()
        own = table.edge(edge_id) if table else None
        return own is not None and own.state is not EdgeState.DOWN
