"""How many sessions a change of the routes to the service address could cost a path, which a drain waits for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from free_ports import free_port
from http_edge import application
from loopback import until

from edge.config.identity import load_identity
from edge.config.settings import EdgeSettings
from edge.ingress.listener import Listener
from node.state.identity import NodeIdentity
from node.vip import Vip
from smkex.client import ConnectOptions, connect
from smkex.client.connection import Connection
from smkex.client.edge_cache import EdgeCache
from smkex.core.session.path import STALLED_LIMIT
from smkex.http.server.http_server import HttpServer


class Running:
    """A listener on loopback, as `sennit edge` has one."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port(2)
        node = NodeIdentity(1, "edge1", Vip("main", "127.0.0.1", None, self.port, id_port_base=self.port))
        settings = EdgeSettings(state=folder, _cli_parse_args=[])
        self.server = HttpServer(application)
        self.listener = Listener(node, load_identity(settings, node), settings, self.server, None)

    async def connect(self, cache: EdgeCache | None = None) -> Connection:
        """A session whose two paths the edge has."""
        before = set(self.listener.registry.sessions)
        connection = await connect(
            "127.0.0.1",
            port=self.port,
            options=ConnectOptions(
                paths=["lo"],
                id_port_base=self.port,
                allow_shared_path=True,
                known_hosts=None,
                cache=cache,
            ),
        )
        await until(
            lambda: any(
                len(made.paths) == 2 for made in self.listener.registry.sessions if made not in before
            )
        )
        return connection


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Running]:
    running = Running(tmp_path)
    await running.server.start()
    await running.listener.start()
    yield running
    await running.listener.stop()
    await running.server.stop()


async def test_a_session_counts_until_it_has_moved(edge: Running) -> None:
    listener = edge.listener
    assert listener.registry.sessions_at_service_port == 0
    first, second = await edge.connect(), await edge.connect()
    assert listener.registry.sessions_at_service_port == 2
    await first.rehome()
    await until(lambda: listener.registry.sessions_at_service_port == 1)
    listener.ask_to_rehome()
    await until(lambda: listener.registry.sessions_at_service_port == 0)
    assert len(listener.registry) == 2
    await asyncio.gather(first.close(), second.close())


async def test_a_session_that_ends_counts_no_more(edge: Running) -> None:
    connection = await edge.connect()
    assert edge.listener.registry.sessions_at_service_port == 1
    await connection.close()
    await until(lambda: edge.listener.registry.sessions_at_service_port == 0)


async def test_a_session_that_began_at_the_locator_never_counts(edge: Running) -> None:
    cache = EdgeCache()
    await (await edge.connect(cache)).close()
    await until(lambda: len(edge.listener.registry) == 0)
    connection = await edge.connect(cache)
    assert (len(edge.listener.registry), edge.listener.registry.sessions_at_service_port) == (1, 0)
    await connection.close()


async def test_a_session_whose_path_was_silent_for_long_counts_no_more(edge: Running) -> None:
    """Its client is gone: it can no longer move."""
    connection = await edge.connect()
    (session,) = edge.listener.registry.sessions
    path, now = session._session._paths.open[0], asyncio.get_running_loop().time()
    path.stalled_at = now
    assert edge.listener.registry.sessions_at_service_port == 1
    path.stalled_at = now - STALLED_LIMIT
    assert edge.listener.registry.sessions_at_service_port == 0
    await connection.close()
