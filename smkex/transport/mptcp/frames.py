"""Frames over a pinned MPTCP connection: one whole message on one path, verified before use."""

import hmac

from smkex.core.errors import MacMismatch, UnexpectedMessage, WrongPath
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.wire.frame import HEADER_LENGTH, FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Ready, parse_abort
from smkex.transport.mptcp.pinned_connection import PinnedConnection


async def receive_frame(
    connection: PinnedConnection, path: int, *, then: int | None = None, verify: bool = True
) -> tuple[FrameType, bytes]:
    """Read one frame that must come on `path`, and only there; nothing may have come behind it.

    With `then`, the peer's next message may already be coming on that path. Raises `MalformedMessage` and what
    `PinnedConnection.receive_exactly` raises.
    """
    reader = FrameReader()
    head = await connection.receive_exactly(path, HEADER_LENGTH, then=then)
    reader.feed(head)
    found = list(reader.frames())  # an empty frame is whole already; a bad header raises
    if not found:
        reader.feed(await connection.receive_exactly(path, int.from_bytes(head[1:], "big"), then=then))
        found = list(reader.frames())
    if verify:
        connection.verify()
    return found[0]


async def receive_ready(connection: PinnedConnection, path: int, keys: KeySchedule) -> None:
    """Read the edge's Ready on the path that this end chose.

    Raises `WrongPath` for a Ready of another path, `MacMismatch`, `UnexpectedMessage`, `PeerAborted`.
    """
    kind, frame = await receive_frame(connection, path)
    if kind is FrameType.ABORT:
        raise parse_abort(frame)
    if kind is not FrameType.READY:
        raise UnexpectedMessage(f"{kind.name} came instead of READY")
    ready = Ready.parse(frame)
    if ready.path != path:
        raise WrongPath(f"a Ready of path {ready.path} came on path {path}")
    if not hmac.compare_digest(ready.verify, keys.ready(path)):
        raise MacMismatch("the edge's Ready does not verify")
