"""What is bounded when a client comes by TCP is bounded too when another worker passes it over, or it speaks MPTCP."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from http_edge import application
from loopback import until

from edge.config.identity import load_identity
from edge.config.settings import EdgeSettings
from edge.ingress.handover import Handover
from edge.ingress.listener import Listener
from node.state.identity import NodeIdentity
from node.vip import Vip
from smkex.core.errors import Overloaded
from smkex.core.wire.frame import FrameType, encode_header
from smkex.core.wire.messages import encode_abort
from smkex.http.server.http_server import HttpServer

PER_PREFIX = 8
# of a ClientNonce as much as names a session: the rest never comes
BEGUN = encode_header(FrameType.CLIENT_NONCE, 48) + bytes(16)


class Worker:
    """A listener to which another worker passes subflows, and who sends them."""

    def __init__(self, folder: Path) -> None:
        inbox, self.outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.handover = Handover(0, bytes(32), inbox, [self.outbox])
        node = NodeIdentity(1, "edge1", Vip("main", "127.0.0.1", None, 1, id_port_base=1))
        settings = EdgeSettings(state=folder, max_handshakes_per_prefix=PER_PREFIX, _cli_parse_args=[])
        identity = load_identity(settings, node)
        self.listener = Listener(node, identity, settings, HttpServer(application), None, self.handover)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.clients: list[socket.socket] = []

    async def start(self) -> None:
        locator = socket.create_server(("127.0.0.1", 0))
        await self.listener.start([socket.create_server(("127.0.0.1", 0)), locator])

    def pass_over(self) -> None:
        client = socket.create_connection(self._listening.getsockname())
        accepted, _ = self._listening.accept()
        assert self.handover.pass_subflow(0, accepted, BEGUN)
        self.clients.append(client)

    async def stop(self) -> None:
        await self.listener.stop()
        for one in (*self.clients, self._listening, self.outbox):
            one.close()


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    made = Worker(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_one_prefix_gets_its_share_of_a_worker_and_no_more(worker: Worker) -> None:
    for _ in range(PER_PREFIX + 3):
        worker.pass_over()
    await until(lambda: worker.listener.handshakes.failures["Overloaded"] == 3)
    assert worker.listener.handshakes.subflows == PER_PREFIX
    refused = worker.clients[-1]
    assert await asyncio.to_thread(refused.recv, 100) == encode_abort(Overloaded.code)
    for client in worker.clients:
        client.close()
    await until(lambda: len(worker.listener._in_handshake) == 0)


async def test_a_client_over_mptcp_gets_overloaded_too(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = AsyncMock()
    monkeypatch.setattr("smkex.server.listener.IPPROTO_MPTCP", socket.IPPROTO_TCP)
    monkeypatch.setattr("smkex.server.listener.speaks_mptcp", lambda connection: True)
    monkeypatch.setattr(worker.listener, "_mptcp", SimpleNamespace(run=begun))
    worker.pass_over()
    await until(lambda: begun.await_count == 1)
    worker.listener.registry.memory.limit = 0
    worker.listener.registry.memory._checked_at = float("-inf")
    worker.pass_over()
    assert await asyncio.to_thread(worker.clients[-1].recv, 100) == encode_abort(Overloaded.code)
    assert begun.await_count == 1
