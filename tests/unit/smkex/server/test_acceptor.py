"""Connections are taken as they come, after a shortage of descriptors too, and no more once stopped."""

import asyncio
import errno
import socket
from typing import Any

from smkex.server.acceptor import Acceptor

BOUND = 10  # seconds any wait may take


class Short(socket.socket):
    """A listening socket whose process has no descriptors left for the first so many connections."""

    refusals = 0

    def _accept(self) -> tuple[int, Any]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return super()._accept()


def listening() -> Short:
    made = Short(socket.AF_INET, socket.SOCK_STREAM)
    made.bind(("127.0.0.1", 0))
    made.listen(16)
    return made


async def taken(listener: Short, count: int) -> list[tuple[socket.socket, Any]]:
    """What an acceptor takes until it has `count`; it is stopped then."""
    found: list[tuple[socket.socket, Any]] = []
    enough = asyncio.Event()

    def take(connection: socket.socket, address: tuple[Any, ...]) -> None:
        found.append((connection, address))
        if len(found) == count:
            enough.set()

    acceptor = Acceptor(listener, take)
    async with asyncio.timeout(BOUND):
        await enough.wait()
    acceptor.stop()
    return found


async def test_all_that_wait_are_taken_and_do_not_block() -> None:
    with listening() as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        for client in clients:
            client.send(b"first")
        found = await taken(listener, 3)
        assert [address for _, address in found] == [client.getsockname() for client in clients]
        for one in [connection for connection, _ in found]:
            assert not one.getblocking()
            one.close()
        for client in clients:
            client.close()


async def test_after_a_shortage_of_descriptors_it_goes_on() -> None:
    with listening() as listener, socket.create_connection(listener.getsockname()):
        listener.refusals = 2
        [(connection, _)] = await taken(listener, 1)
        assert not listener.refusals
        connection.close()


async def test_what_comes_after_it_was_stopped_is_left_to_others() -> None:
    with listening() as listener:
        with socket.create_connection(listener.getsockname()) as client:
            client.send(b"first")
            [(connection, _)] = await taken(listener, 1)
            connection.close()
        with socket.create_connection(listener.getsockname()) as client:
            client.send(b"second")
            async with asyncio.timeout(BOUND):
                other, _ = await asyncio.get_running_loop().sock_accept(
                    listener
                )  # it was not accepted before
            other.close()
