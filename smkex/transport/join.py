"""Add a TCP connection to a running session, at the owner's locator as computed by the client."""

import os

from smkex.core.errors import UnexpectedMessage
from smkex.core.handshake.join import JoinInitiator
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import Observation, parse_abort
from smkex.transport.driver import SessionDriver
from smkex.transport.frame_channel import FrameChannel
from smkex.transport.routes.paths import connect_from
from smkex.transport.routes.target import Target, format_endpoint


async def join_session(
    session: SessionDriver, target: Target, interface: str, path: int
) -> tuple[str, Observation]:
    """Join from `interface` as `path`; return (local address, address as the edge saw it).

    The caller bounds the time. Raises `SmkexError`, or OSError if the connection fails.
    """
    established = session.established
    sock = await connect_from(interface, *target.locator(established.edge_id))
    channel = FrameChannel.from_socket(sock)
    initiator = JoinInitiator(established.keys, established.session_id, path, os.urandom(32))
    try:
        channel.send(initiator.join)
        kind, frame = await channel.next_frame()
        if kind is FrameType.ABORT:
            raise parse_abort(frame)
        if kind is not FrameType.JOIN_CHALLENGE:
            raise UnexpectedMessage(f"{kind.name} came instead of JOIN_CHALLENGE")
        response, joined, observed = initiator.answer_challenge(frame)
        channel.send(response)
        address = format_endpoint(*sock.getsockname()[:2])
    except BaseException:
        channel.flow.abort()
        raise
    session.add_flow(path, channel.flow, channel.reader, joined)
    return address, observed
