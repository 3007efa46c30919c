"""However a handshake ends, no connection and no place in the bounds is left behind."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from exchanges import entropy

from smkex.core.errors import AbortCode
from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ClientConfig, ServerConfig
from smkex.core.keys.key_schedule import KeySchedule, transcript_hash
from smkex.core.wire.frame import HANDSHAKE_LIMIT, FrameType, encode_frame, encode_header
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import DIGEST_LENGTH, Aead, ClientNonce, Mode, encode_abort, parse_abort
from smkex.server.handshake.subflow import CONFIRMED, ENDED, HandshakeSubflow
from smkex.server.handshake.tcp import TcpHandshakes
from smkex.transport.driver import SessionDriver

BOUND = 10.0
CLIENT = ClientConfig(allow_shared_path=True)


class Client:
    """One end of a connection, and the edge's subflow at the other."""

    def __init__(self, end: socket.socket, accepted: socket.socket, peer: object) -> None:
        self.end, self._accepted, self._peer = end, accepted, peer
        self._reader = FrameReader()
        self.subflow: HandshakeSubflow

    def serve(self, handshakes: TcpHandshakes) -> None:
        self.subflow = handshakes.accept(self._accepted, self._peer)

    @property
    def done(self) -> bool:
        return self.subflow.stage in (ENDED, CONFIRMED)

    async def frame(self) -> tuple[FrameType, bytes]:
        async with asyncio.timeout(BOUND):
            while (frame := self._reader.next_frame()) is None:
                data = await asyncio.get_running_loop().sock_recv(self.end, 65536)
                assert data, "the edge closed the connection"
                self._reader.feed(data)
            return frame

    def close(self) -> None:
        if hasattr(self, "subflow"):
            self.subflow.flow.abort()
        else:
            self._accepted.close()

    def is_reset(self) -> bool:
        return is_reset(self._accepted)

    def reset(self) -> None:
        self.end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.end.close()


class Edge:
    """An edge's handshakes, and clients connected to it over loopback."""

    def __init__(self, *, require_both: bool) -> None:
        self.served: list[SessionDriver] = []
        self.handshakes = TcpHandshakes(
            lambda: ServerConfig(edge_id=7), self._serve, limit=4, timeout=60, require_both=require_both
        )
        self._clients: list[Client] = []

    def _serve(self, session: SessionDriver) -> None:
        self.served.append(session)
        session.start(asyncio.Protocol())

    def connect(self) -> Client:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            end = socket.create_connection(listening.getsockname())
            accepted, peer = listening.accept()
        for one in (end, accepted):
            one.setblocking(False)
        made = Client(end, accepted, peer)
        self._clients.append(made)
        return made

    def close(self) -> None:
        for client in self._clients:
            client.end.close()
            client.close()


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    made = Edge(require_both=False)
    yield made
    made.close()


@pytest.fixture
async def strict() -> AsyncIterator[Edge]:
    made = Edge(require_both=True)
    yield made
    made.close()


async def until(holds: object) -> None:
    async with asyncio.timeout(BOUND):
        while not holds():  # type: ignore[operator]
            await asyncio.sleep(0.001)


def is_reset(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:
        return True
    return False


async def up_to_the_nonce(edge: Edge) -> tuple[ClientHandshake, Client, Client]:
    """A client that has both answers and has sent no Finished yet."""
    handshake = ClientHandshake.begin(CLIENT, entropy())
    first, second = edge.connect(), edge.connect()
    for client, said in ((first, handshake.client_share), (second, None)):
        client.serve(edge.handshakes)
        client.end.send(said or handshake.client_nonce)
        handshake.receive(client is second, *await client.frame())
    return handshake, first, second


async def test_a_nonce_that_meets_a_session_that_has_just_ended_is_refused(edge: Edge) -> None:
    """Its secrets are gone: with empty keys the client's messages would verify; the edge reads none."""
    client = ClientHandshake.begin(CLIENT, entropy())
    second = edge.connect()
    second.end.send(client.client_nonce)
    second.serve(edge.handshakes)
    await until(lambda: edge.handshakes._pending.waiting_count)
    first = edge.connect()
    first.end.send(client.client_share + encode_abort(AbortCode.CANCELLED))
    first.serve(edge.handshakes)
    kind, answer = await second.frame()
    if kind is FrameType.SERVER_NONCE:  # finish, as anybody could who has heard both
        share = (await first.frame())[1]
        nonce = ClientNonce.parse(client.client_nonce)
        th = transcript_hash(client.client_share, share, nonce, answer[:-DIGEST_LENGTH])
        keys = KeySchedule(Mode.OPPORTUNISTIC, Aead.AES_128_GCM, (), th)
        second.end.send(encode_frame(FrameType.FINISHED, b"\1" + keys.finished(1)))
    await until(lambda: second.done)
    assert second.subflow.flow.closing
    assert len(edge.handshakes) == 0


async def test_a_reset_that_comes_before_anything_is_read_leaves_no_connection(edge: Edge) -> None:
    client = edge.connect()
    client.end.send(ClientHandshake.begin(CLIENT, entropy()).client_share + bytes(2 * HANDSHAKE_LIMIT))
    client.reset()
    await until(client.is_reset)
    client.serve(edge.handshakes)
    await until(lambda: client.done)
    assert client.subflow.flow.closing
    assert len(edge.handshakes) == 0
    assert sum(edge.handshakes.failures.values()) == 1


@pytest.mark.parametrize("both", [True, False])
async def test_a_first_path_that_breaks_once_it_is_confirmed_leaves_no_place_taken(
    both: bool, edge: Edge, strict: Edge
) -> None:
    it = strict if both else edge
    client, first, second = await up_to_the_nonce(it)
    if both:
        first.end.send(client.finished(0))
        await until(lambda: first.done)
        first.reset()
        await until(lambda: first.subflow.flow.lost)
    else:
        first.subflow.flow.pause_reading()
        first.end.send(client.finished(0))
        first.reset()
        await until(lambda: is_reset(first.subflow.flow.socket))
        first.subflow.flow.resume_reading()
        await until(lambda: first.done)
    second.end.send(client.finished(1))
    await until(lambda: second.done)
    assert len(it.handshakes) == 0
    assert second.subflow.flow.closing
    assert not it.served


async def test_a_racer_whose_nonce_came_first_and_who_leaves_takes_no_client_along(edge: Edge) -> None:
    client = ClientHandshake.begin(CLIENT, entropy())
    first, racer, second = edge.connect(), edge.connect(), edge.connect()
    first.end.send(client.client_share)
    first.serve(edge.handshakes)
    client.receive(0, *await first.frame())
    racer.end.send(client.client_nonce)
    racer.serve(edge.handshakes)
    await racer.frame()
    racer.end.send(encode_header(FrameType.FINISHED, 33) + bytes([1]) + bytes(32))
    kind, aborted = await racer.frame()
    assert (kind, parse_abort(aborted).peer_code) == (FrameType.ABORT, AbortCode.FINISHED_MISMATCH)
    second.end.send(client.client_nonce)
    second.serve(edge.handshakes)
    client.receive(1, *await second.frame())
    first.end.send(client.finished(0))
    second.end.send(client.finished(1))
    await until(lambda: edge.served and len(edge.served[0].paths) == 2)
