"""What goes out together: an answer and the acknowledgement of its question, in one write."""

import asyncio

import pytest
from loopback import LoopbackEdge, until
from wires import fresh_keys, same_keys

from smkex.core.errors import PeerAborted
from smkex.core.session.session import Session
from smkex.core.wire.frame import FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.transport.session import SessionTransport


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


def test_an_answer_carries_the_acknowledgement_along() -> None:
    client, server = sessions()
    client.write(b"question")
    for frame in frames(client, 0, 1.0):
        server.receive(0, frame, 1.0)
    server.write(b"answer")
    sent = frames(server, 0, 1.0)
    assert [frame[0] for frame in sent] == [FrameType.DATA, FrameType.CONTROL]
    for frame in sent:
        client.receive(0, frame, 1.0)
    assert client.acknowledged == len(b"question")


def test_without_an_answer_it_waits_for_more_to_acknowledge() -> None:
    client, server = sessions()
    client.write(b"question")
    for frame in frames(client, 0, 1.0):
        server.receive(0, frame, 1.0)
    assert frames(server, 0, 1.0) == []
    due = server.timer()
    assert due is not None
    assert due > 1.0
    assert [frame[0] for frame in frames(server, 0, due)] == [FrameType.CONTROL]


class Aborts(asyncio.Protocol):
    """Gives the session up from within the call that brings data."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, SessionTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"never mind")
        self.transport.abort()


class AbortingEdge(LoopbackEdge):
    def _serve(self, session: SessionTransport) -> None:
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
