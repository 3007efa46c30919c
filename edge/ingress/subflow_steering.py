"""Hand each new subflow to the worker that owns its session, unless that is this one."""

import asyncio
import socket
from collections.abc import Callable

from edge.ingress.handover import Handover
from edge.ingress.steering import Claim, owner_of, peek_claim
from smkex.core.wire.frame import FrameType
from smkex.server.limits.admission import refuse_overloaded

SHARE_GRACE = 0.3  # seconds that a ClientShare may come after its nonce while two generations of workers run
_POLL_INTERVAL = 0.02


class SubflowSteering:
    """Steers by the claim in a subflow's first bytes; `has_session` names the sessions of this worker."""

    def __init__(self, handover: Handover, has_session: Callable[[bytes], bool], timeout: float) -> None:
        self._handover = handover
        self._has_session = has_session
        self._timeout = timeout

    async def steer_subflow(self, connection: socket.socket, *, handed_over: bool) -> bool:
        """Pass the subflow on, or close it where its first bytes do not come; False where it is this worker's.

        A subflow that was handed over goes to the previous generation at most, so that none circulates.
        """
        handover = self._handover
        try:
            async with asyncio.timeout(self._timeout):
                claim = await peek_claim(connection)
                if claim is None:
                    return False
                owner = owner_of(claim.session_id, handover.secret, handover.workers)
                older = owner == handover.index and await self._belongs_to_older(claim)
        except (OSError, TimeoutError):
            connection.close()
            return True
        except asyncio.CancelledError:
            connection.close()
            raise
        if not older and (owner == handover.index or handed_over):
            return False
        if not handover.pass_subflow(owner, connection, older=older):
            refuse_overloaded(connection)
        return True

    async def _belongs_to_older(self, claim: Claim) -> bool:
        """Return whether it joins a session of the previous generation; a share may arrive just after its nonce."""
        if not self._handover.has_older or claim.kind not in (FrameType.CLIENT_NONCE, FrameType.JOIN):
            return False
        loop = asyncio.get_running_loop()
        until = loop.time() + (SHARE_GRACE if claim.kind is FrameType.CLIENT_NONCE else 0)
        while not self._has_session(claim.session_id):
            if loop.time() >= until:
                return True
            await asyncio.sleep(_POLL_INTERVAL)
        return False
