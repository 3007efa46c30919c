"""What the control plane lets this edge do, as of its last answer, and what holds while there is none."""

import time
from dataclasses import dataclass, field

from balancer.agent.announce.withdrawal_grant import Leave
from balancer.agent.state import NodeState
from balancer.api.schemas import LeaseGrant, LeaseRequest
from balancer.model.table import EdgeState

PATIENCE = 5.0  # seconds without an answer, after which what is on disk decides


@dataclass(slots=True)
class Intent:
    """The last answer's content, and when it came."""

    leave: Leave = field(default_factory=lambda: Leave(PATIENCE))
    heard_at: float | None = None
    started_at: float = field(default_factory=time.monotonic)
    may_announce: bool = False
    patience: float = PATIENCE

    def answered(self, sent_at: float, sent: LeaseRequest, grant: LeaseGrant) -> None:
        """Take in the answer to a heartbeat."""
        self.heard_at = time.monotonic()
        self.may_announce = grant.may_announce
        self.patience = max(PATIENCE, grant.lease_seconds / 2)  # heartbeats come every third of a lease
        if sent.withdraw:
            self.leave.answered(sent_at, grant.grant.seconds if grant.grant else None)

    def silent(self, now: float) -> bool:
        """Whether the control plane has not answered for a while."""
        return now - (self.heard_at or self.started_at) > self.patience

    def held(self, now: float, state: NodeState, edge_id: int) -> bool:
        """Whether this edge may begin to announce: by the control plane's word, without it by the table on disk."""
        if not self.silent(now):
            return self.may_announce
        table = state.table()
        own = table.edge(edge_id) if table else None
        return own is not None and own.state is not EdgeState.DOWN
