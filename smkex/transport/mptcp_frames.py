"""Frames over a pinned MPTCP connection: one whole message on one path, checked before it is believed."""

from smkex.core.frame import HEADER, FrameReader, FrameType
from smkex.transport.mptcp import PinnedConnection


async def receive_frame(
    connection: PinnedConnection, path: int, *, then: int | None = None, verify: bool = True
) -> tuple[FrameType, bytes]:
    """Read one frame that must come on `path`, and only there; nothing may have come behind it.

    With `then`, the peer's next message may already be coming on that path. Raises `MalformedMessage` and what
    `PinnedConnection.receive_exactly` raises.
    """
    reader = FrameReader()
    head = await connection.receive_exactly(path, HEADER, then=then)
    reader.feed(head)
    found = list(reader.frames())  # an empty frame is whole already; a bad header raises
    if not found:
        reader.feed(await connection.receive_exactly(path, int.from_bytes(head[1:], "big"), then=then))
        found = list(reader.frames())
    if verify:
        connection.verify()
    return found[0]
