"""A subflow's reads: one buffer for all of a thread's event loop, and none shared between threads."""

import asyncio
import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

from smkex.core.wire.frame import HANDSHAKE_LIMIT, FrameType
from smkex.core.wire.messages import encode_abort
from smkex.transport.socket_transport import SocketTransport
from smkex.transport.subflow import Subflow


def test_subflows_of_one_thread_receive_into_one_buffer_and_those_of_another_into_theirs() -> None:
    def buffer(_: int = 0) -> memoryview:
        return Subflow().get_buffer(-1)

    with ThreadPoolExecutor(1) as other:
        theirs = list(other.map(buffer, range(2)))
    assert theirs[0] is theirs[1]
    assert buffer() is buffer()
    assert buffer() is not theirs[0]


async def test_what_one_subflow_received_stays_when_the_next_receives() -> None:
    first, second = Subflow(), Subflow()
    for subflow, code in ((first, 1), (second, 2)):
        frame = encode_abort(code)
        subflow.get_buffer(-1)[: len(frame)] = frame
        subflow.buffer_updated(len(frame))
    assert await first.next_frame() == (FrameType.ABORT, encode_abort(1))
    assert await second.next_frame() == (FrameType.ABORT, encode_abort(2))


async def test_a_client_in_its_handshake_can_make_a_subflow_hold_no_more_than_two_frames() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    subflow = Subflow()
    subflow._limit_unsent = Mock()  # type: ignore[method-assign]
    SocketTransport(near, subflow, ("", 0))
    far.send(bytes(60_000))
    async with asyncio.timeout(10):
        while subflow.transport.is_reading():
            await asyncio.sleep(0)
    assert HANDSHAKE_LIMIT < subflow.reader.pending <= 2 * HANDSHAKE_LIMIT
    subflow.transport.abort()
    far.close()


async def test_a_kernel_without_the_limit_of_unsent_bytes_carries_subflows_all_the_same() -> None:
    """Sockets of MPTCP of Linux 6.1 refuse TCP_NOTSENT_LOWAT with ENOPROTOOPT."""

    class Refuses:
        def setsockopt(self, *_: object) -> None:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    transport = Mock()
    transport.get_extra_info.return_value = Refuses()
    subflow = Subflow()
    subflow.connection_made(transport)
    assert subflow.transport is transport
