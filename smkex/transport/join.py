"""Give a running session another TCP connection: always to the owner's locator, computed by the client."""

import os

from smkex.core.errors import PeerAborted, UnexpectedMessage
from smkex.core.handshake.join import JoinInitiator
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import Observation, parse_abort
from smkex.transport.routes.paths import dial
from smkex.transport.routes.target import Target, endpoint
from smkex.transport.session import SessionTransport
from smkex.transport.subflow import Subflow


async def join(
    session: SessionTransport, target: Target, interface: str, path: int
) -> tuple[str, Observation]:
    """Join from `interface` as `path`; return (local address, how the edge saw it).

    The caller bounds the time. Raises `SmkexError`, or OSError where the connection cannot be had.
    """
    established = session.established
    sock = await dial(interface, *target.locator(established.edge_id))
    subflow = Subflow.over(sock)
    initiator = JoinInitiator(established.keys, established.session_id, path, os.urandom(32))
    try:
        subflow.send(initiator.join)
        kind, frame = await subflow.next_frame()
        if kind is FrameType.ABORT:
            raise PeerAborted(parse_abort(frame), authenticated=False)
        if kind is not FrameType.JOIN_CHALLENGE:
            raise UnexpectedMessage(f"{kind.name} came instead of JOIN_CHALLENGE")
        response, joined, observed = initiator.answer(frame)
        subflow.send(response)
        address = endpoint(*sock.getsockname()[:2])
    except BaseException:
        subflow.transport.abort()
        raise
    session.add_subflow(path, subflow, joined)
    return address, observed
