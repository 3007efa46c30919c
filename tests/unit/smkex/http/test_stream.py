"""What a connection to an origin holds before it is read."""

import asyncio
import contextlib
import socket

from smkex.http.stream import READ_LIMIT, open_on_socket


async def test_no_more_than_three_times_its_limit_waits_in_a_stream_that_is_not_read() -> None:
    ours, other = socket.socketpair()
    ours.setblocking(False)
    other.setblocking(False)
    stream = await open_on_socket(ours, None, "")
    sent = 0
    with other:
        async with asyncio.timeout(10):
            for _ in range(200):  # more turns of the loop than it reads
                with contextlib.suppress(BlockingIOError):
                    sent += other.send(bytes(1 << 20))
                await asyncio.sleep(0)
            received = stream._reader.received
            assert 2 * READ_LIMIT < received <= 3 * READ_LIMIT
            assert received < sent  # the rest is held back in the kernel
        stream.close()
        await asyncio.sleep(0)
