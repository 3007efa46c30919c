"""An edge's state in the forwarding table, from what is wanted and what is so."""

from balancer.api.schemas import AdminState
from balancer.model.table import EdgeState


def table_state(admin_state: str, alive: bool) -> EdgeState:
    """Derive it: who is not alive is down, whatever is wanted."""
    if not alive or admin_state == AdminState.DISABLED:
        return EdgeState.DOWN
    return EdgeState.DRAINING if admin_state == AdminState.DRAINING else EdgeState.UP
