"""Ready confirms the path that the client chose: another path's is refused."""

from typing import cast

import pytest
from exchanges import Exchange

from smkex.core import errors
from smkex.core.wire.messages import Ready, encode_abort
from smkex.transport.mptcp.frames import receive_ready
from smkex.transport.mptcp.pinned_connection import PinnedConnection


class OneMessage:
    """Stands in for a pinned connection on whose path `path` one whole message has come."""

    def __init__(self, path: int, message: bytes) -> None:
        self.path = path
        self.left = message

    async def receive_exactly(self, path: int, n: int, *, then: int | None = None) -> bytes:
        assert path == self.path
        taken, self.left = self.left[:n], self.left[n:]
        return taken

    def verify(self) -> None:
        assert not self.left


@pytest.fixture
def done() -> Exchange:
    exchange = Exchange()
    exchange.run()
    return exchange


async def receive(done: Exchange, path: int, message: bytes) -> None:
    connection = OneMessage(path, message)
    await receive_ready(cast(PinnedConnection, connection), path, done.client.established.keys)
    assert not connection.left


@pytest.mark.parametrize("path", [0, 1])
async def test_the_ready_of_the_chosen_path_is_taken(done: Exchange, path: int) -> None:
    ready = Ready.build(path, done.server.established.keys.ready(path))
    await receive(done, path, ready.frame)


async def test_a_ready_that_was_moved_to_the_other_path_is_refused(done: Exchange) -> None:
    ready = Ready.build(1, done.server.established.keys.ready(1))
    with pytest.raises(errors.WrongPath):
        await receive(done, 0, ready.frame)


async def test_a_ready_whose_path_was_changed_is_refused(done: Exchange) -> None:
    ready = Ready.build(0, done.server.established.keys.ready(1))
    with pytest.raises(errors.MacMismatch):
        await receive(done, 0, ready.frame)


async def test_an_abort_instead_of_ready_gives_its_reason(done: Exchange) -> None:
    with pytest.raises(errors.PeerAborted):
        await receive(done, 0, encode_abort(errors.AbortCode.OVERLOADED))
