"""A handshake's frames, one by one, and what a client can make the edge hold meanwhile."""

import asyncio
import socket

import pytest

from smkex.core.errors import Truncated
from smkex.core.wire.frame import HANDSHAKE_LIMIT, FrameType
from smkex.core.wire.messages import encode_abort
from smkex.transport.frame_channel import FrameChannel


def connected() -> tuple[FrameChannel, socket.socket]:
    near, far = socket.socketpair()
    near.setblocking(False)
    return FrameChannel.from_socket(near, ("", 0)), far


async def test_what_one_connection_received_stays_when_the_next_receives() -> None:
    first, second = connected(), connected()
    for (_, far), code in ((first, 1), (second, 2)):
        far.send(encode_abort(code))
    async with asyncio.timeout(10):
        assert await second[0].next_frame() == (FrameType.ABORT, encode_abort(2))
        assert await first[0].next_frame() == (FrameType.ABORT, encode_abort(1))
    for channel, far in (first, second):
        channel.flow.abort()
        far.close()


async def test_a_client_in_its_handshake_can_make_an_edge_hold_no_more_than_two_frames() -> None:
    channel, far = connected()
    far.send(bytes(60_000))
    async with asyncio.timeout(10):
        while channel.flow.is_reading:
            await asyncio.sleep(0)
    assert HANDSHAKE_LIMIT < channel.reader.pending <= 2 * HANDSHAKE_LIMIT
    channel.flow.abort()
    far.close()


async def test_a_connection_that_ends_within_a_frame_is_truncated() -> None:
    channel, far = connected()
    far.send(encode_abort(1)[:-1])
    far.close()
    with pytest.raises(Truncated):
        await asyncio.wait_for(channel.next_frame(), 10)


async def test_a_connection_that_is_gone_already_is_an_error_and_leaves_no_socket() -> None:
    near, far = socket.socket(), socket.socket()
    with pytest.raises(OSError, match="not connected"):
        FrameChannel.from_socket(near)
    assert near.fileno() == -1
    far.close()


async def test_a_frame_leaves_at_once() -> None:
    """Before the session's first bytes, which take another path: the edge is to have both proofs when they come."""
    channel, far = connected()
    channel.send(encode_abort(3))
    far.setblocking(False)
    assert far.recv(100) == encode_abort(3)
    channel.flow.abort()
    far.close()
