"""Add a TCP connection to a running session, at the owner's locator as computed by the client."""

import os

from smkex.core.errors import AbortCode, SmkexError, StepChanged, UnexpectedMessage
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

    The caller bounds the time. Raises `SmkexError`, or OSError if the connection fails; `StepChanged` when the edge is
    at another key step than the join names, which the next attempt may not be.
    """
    error: SmkexError = StepChanged()
    for step in session.join_steps:
        try:
            return await _join_at_step(session, target, interface, path, step)
        except StepChanged as changed:
            error = changed
    raise error


async def _join_at_step(
    session: SessionDriver, target: Target, interface: str, path: int, step: int
) -> tuple[str, Observation]:
    established = session.established
    sock = await connect_from(interface, *target.locator(established.edge_id))
    channel = FrameChannel.from_socket(sock)
    initiator = JoinInitiator(session.find_join_keys(step), established.session_id, path, os.urandom(32))
    try:
        channel.send(initiator.join)
        kind, frame = await channel.next_frame()
        if kind is FrameType.ABORT:
            refusal = parse_abort(frame)
            if refusal.peer_code == AbortCode.STEP_CHANGED:
                raise StepChanged
            raise refusal
        if kind is not FrameType.JOIN_CHALLENGE:
            raise UnexpectedMessage(f"{kind.name} came instead of JOIN_CHALLENGE")
        response, joined, observed = initiator.answer_challenge(frame)
        channel.send(response)
        address = format_endpoint(*sock.getsockname()[:2])
    except BaseException:
        channel.flow.abort()
        raise
    session.observed[path] = observed
    session.add_flow(path, channel.flow, channel.reader, joined, step)
    return address, observed
