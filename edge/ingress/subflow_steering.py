"""Hand each new subflow to the worker that owns its session, unless that is this one."""

import socket
from collections.abc import Callable

from edge.ingress.handover import Handover
from edge.ingress.steering import Claim, owner_of, read_claim
from smkex.core.wire.frame import FrameType
from smkex.server.handshake.steering import HERE, LATER, MORE

SHARE_GRACE = 0.3  # seconds that a ClientShare may come after its nonce while two generations of workers run


class SubflowSteering:
    """Steers by the claim in a subflow's first bytes (`smkex.server.handshake.steering.WorkerSteering`).

    `has_session` names the sessions of this worker. Destinations are the workers of this generation, then those of the
    older one.
    """

    def __init__(self, handover: Handover, has_session: Callable[[bytes], bool]) -> None:
        self._handover = handover
        self._has_session = has_session

    def decide(self, received: bytes, waited: float, handed_over: bool) -> int:
        """A subflow that was handed over goes to the previous generation at most, so that none circulates."""
        handover = self._handover
        claim = read_claim(received)
        if claim is None:
            return HERE
        if isinstance(claim, int):
            return MORE
        owner = owner_of(claim.session_id, handover.secret, handover.workers)
        if owner != handover.index:
            return HERE if handed_over else owner
        if not self._may_belong_to_older(claim):
            return HERE
        if claim.kind is FrameType.CLIENT_NONCE and waited < SHARE_GRACE:
            return LATER
        return handover.workers + owner

    def pass_on(self, destination: int, connection: socket.socket, received: bytes) -> bool:
        older, worker = divmod(destination, self._handover.workers)
        return self._handover.pass_subflow(worker, connection, received, older=bool(older))

    def _may_belong_to_older(self, claim: Claim) -> bool:
        """Whether it joins a session that this worker does not have, perhaps not yet."""
        if not self._handover.has_older or claim.kind not in (FrameType.CLIENT_NONCE, FrameType.JOIN):
            return False
        return not self._has_session(claim.session_id)
