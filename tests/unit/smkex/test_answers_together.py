"""What goes out together: an answer and the acknowledgement of its question, in one write."""

import asyncio

import pytest
from loopback import LoopbackEdge, until
from wires import fresh_keys, same_keys

from smkex.core.errors import PeerAborted
from smkex.core.events import DataReceived
from smkex.core.session.path import ACKNOWLEDGE_DELAY
from smkex.core.session.session import Session
from smkex.core.wire.frame import FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.transport.driver import SessionDriver


def sessions() -> tuple[Session, Session]:
    keys = fresh_keys()
    client, server = Session(same_keys(keys), "client"), Session(keys, "server")
    for path in (0, 1):
        client.add_path(path, FrameReader(), 0.01, 0.0)
        server.add_path(path, FrameReader(), 0.01, 0.0)
    return client, server


def frames(session: Session, path: int, now: float) -> list[bytes]:
    found = []
    while frame := session.data_to_send(path, now):
        found.append(frame)
    return found


def ask(client: Session, server: Session, now: float) -> None:
    client.write(b"question")
    for frame in frames(client, 0, now):
        server.receive(0, frame, now)


def test_an_acknowledgement_that_is_due_soon_goes_along_with_an_answer() -> None:
    client, server = sessions()
    ask(client, server, 1.0)
    server.write(b"answer")
    assert [frame[0] for frame in frames(server, 0, 1.0)] == [FrameType.DATA]
    server.write(b"another")
    sent = frames(server, 0, 1.0 + ACKNOWLEDGE_DELAY / 2)
    assert [frame[0] for frame in sent] == [FrameType.DATA, FrameType.CONTROL]
    for frame in sent:
        client.receive(0, frame, 1.02)
    assert client.acknowledged == len(b"question")


def test_without_an_answer_it_waits_for_more_to_acknowledge() -> None:
    client, server = sessions()
    ask(client, server, 1.0)
    assert frames(server, 0, 1.0) == []
    assert server.timer() == 1.0 + ACKNOWLEDGE_DELAY
    ask(client, server, 1.02)
    assert server.timer() == 1.0 + ACKNOWLEDGE_DELAY, "since the first record that it acknowledges"
    (sent,) = frames(server, 0, 1.0 + ACKNOWLEDGE_DELAY)
    assert sent[0] == FrameType.CONTROL
    client.receive(0, sent, 1.0 + ACKNOWLEDGE_DELAY)
    assert client.acknowledged == 2 * len(b"question")


def test_many_short_exchanges_take_few_acknowledgements() -> None:
    """A hundred of 2 ms each: one acknowledgement at each end for some seven of them."""
    client, server = sessions()
    kinds = []
    for n in range(100):
        now = 1.0 + n * 0.002
        ask(client, server, now)
        server.write(b"answer")
        for sender, receiver in ((server, client), (client, server)):
            for frame in frames(sender, 0, now):
                kinds.append(frame[0])
                receiver.receive(0, frame, now)
    assert 10 <= kinds.count(FrameType.CONTROL) <= 34
    assert client.acknowledged >= 85 * len(b"question")


@pytest.mark.parametrize(("received", "threshold"), [(0, 64 << 10), (8 << 20, 256 << 10)])
def test_many_bytes_are_acknowledged_at_once(received: int, threshold: int) -> None:
    """Fewer in the beginning, while the sender's window is small."""
    client, server = sessions()
    client.write(bytes(received))
    while client.acknowledged < received:
        deliver(client, server, 1.0)
        deliver(server, client, 2.0)
    before = client.acknowledged
    client.write(bytes(2 * threshold))
    while not deliver(server, client, 1.0):
        assert deliver(client, server, 1.0, most=1)
    assert threshold <= client.acknowledged - before <= 2 * threshold


def deliver(sender: Session, receiver: Session, now: float, most: int = 1000) -> int:
    """Deliver up to `most` frames on path 0; return how many there were."""
    count = 0
    while count < most and (frame := sender.data_to_send(0, now)):
        for event in receiver.receive(0, frame, now):
            if isinstance(event, DataReceived):
                receiver.consume(len(event.data))
        count += 1
    return count


class Aborts(asyncio.Protocol):
    """Gives the session up from within the call that brings data."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, SessionDriver)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"never mind")
        self.transport.abort()


class AbortingEdge(LoopbackEdge):
    def _serve(self, session: SessionDriver) -> None:
        self.sessions.append(session)
        session.start(Aborts())


async def test_a_session_given_up_while_it_delivers_says_so_to_the_other_end() -> None:
    async with AbortingEdge() as edge:
        connection = await edge.connect()
        connection.writer.write(b"hello")
        with pytest.raises(PeerAborted) as ended:
            await asyncio.wait_for(connection.reader.read(), 5)
        assert ended.value.authenticated
        await until(lambda: edge.session.is_closing())
