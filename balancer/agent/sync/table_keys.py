"""Follow rotations of the key that signs tables: learn the next key, and drop the old one once nothing needs it."""

import logging

from balancer.agent.state import NodeState
from balancer.api.client import ControlClient

log = logging.getLogger(__name__)


async def learn_table_keys(client: ControlClient, state: NodeState) -> None:
    """Ask which keys the control plane uses, and keep those that follow a trusted one by signed links.

    Raises what the client raises, and `TableKeyUnknown` where no link leads to the key in use.
    """
    offered = await client.table_keys()
    if state.learn_keys(offered.current, offered.following, offered.links):
        log.info("table keys learned", extra={"keys": [key.hex()[:16] for key in state.table_keys()]})


def drop_old_key(state: NodeState) -> None:
    """Accept the following key alone, once the table and the services on disk are signed with it.

    What is on disk must be believed by every daemon that starts, so the files come first: an agent that is killed in
    between does this at its next answer.
    """
    keys = state.table_keys()
    if len(keys) == 2 and state.is_signed_with(keys[1]):
        state.promote_key()
        log.info("old table key dropped", extra={"dropped": keys[0].hex()[:16], "key": keys[1].hex()[:16]})
