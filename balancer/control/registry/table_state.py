"""An edge's state in the forwarding table, from its admin state and its liveness."""

from balancer.model.table import EdgeState
from node.state.desired_state import AdminState


def table_state(admin_state: str, alive: bool) -> EdgeState:
    """Return `down` for an edge that is not alive or disabled, else its admin state's."""
    if not alive or admin_state == AdminState.DISABLED:
        return EdgeState.DOWN
    return EdgeState.DRAINING if admin_state == AdminState.DRAINING else EdgeState.UP
