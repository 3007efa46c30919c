"""Accept subflows at the service port and at the locator of an edge: what it adds to a server of sessions.

These are the forwarder's marks, the other workers, the fleet's Fast Open keys, and drains.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from edge.config.settings import EdgeSettings
from edge.ingress import fast_open
from edge.ingress.handover import Handover
from edge.ingress.listening_sockets import listen_on_vip
from edge.ingress.subflow_steering import SubflowSteering
from edge.streams.stream_services import StreamServices
from edge.telemetry.session_figures import SessionFigures
from node.mark import ingress_of_mark
from node.state.catalogue import FAST_OPEN_KEYS
from node.state.identity import NodeIdentity
from smkex.core.handshake.config import ServerConfig
from smkex.http.server.http_server import HttpServer
from smkex.server.failures import ignore_failure
from smkex.server.handshake.path_manager.client import PathManagerClient
from smkex.server.identity import Identity
from smkex.server.listener import SessionListener
from smkex.transport.driver import SessionDriver

log = logging.getLogger("edge.ingress.listener")


class Listener(SessionListener):
    """The listener of one worker. Without a hand-over there are no other workers; without `streams` all is HTTP."""

    def __init__(
        self,
        node: NodeIdentity,
        identity: Identity,
        settings: EdgeSettings,
        server: HttpServer,
        manager: PathManagerClient | None,
        handover: Handover | None = None,
        streams: StreamServices | None = None,
        figures: SessionFigures | None = None,
    ) -> None:
        super().__init__(
            self._server_config,
            self._make_protocol,
            node.locator_of,
            settings.server_limits,
            require_both=settings.require_both,
            manager=manager,
            ingress_of_mark=ingress_of_mark,
            observe_failure=figures.count_failure if figures is not None else ignore_failure,
        )
        self._server = server
        self._streams = streams
        self._figures = figures
        self._node = node
        self._identity = identity
        self._settings = settings
        self._handover = handover
        self._key_followers: list[asyncio.Task[None]] = []
        self.draining = False
        if handover is not None:
            self.handshakes.steering = SubflowSteering(handover, self.handshakes.has_session)

    def _make_protocol(self, session: SessionDriver) -> asyncio.Protocol:
        """HTTP, unless the server name belongs to a service of kind tcp."""
        if self._figures is not None:
            self._figures.begin_session(session)
        stream = self._streams.create_protocol(session) if self._streams is not None else None
        return stream if stream is not None else self._server.create_protocol()

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Accept on these, or listen on the VIP; raises OSError as `listen_on_vip`."""
        self.start_accepting(sockets or listen_on_vip(self._node))
        self.registry.service_addresses = {listening.getsockname()[:2] for listening in self._sockets[::2]}
        if self._handover is not None:
            self._handover.start(self._accept_handed_over)
        given, state = self._settings.fast_open_keys, self._settings.state
        path = given or FAST_OPEN_KEYS.path_in(state)
        read_text = given.read_text if given else partial(FAST_OPEN_KEYS.read_text, state)
        for locator in self._sockets[1::2]:
            following = fast_open.follow_key_file(locator, path, read_text)
            self._key_followers.append(asyncio.create_task(following))

    async def stop_accepting(self) -> None:
        """Leave the listening sockets to the other workers; what has begun goes on."""
        followers, self._key_followers = self._key_followers, []
        for task in followers:
            task.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        await super().stop_accepting()

    async def stop(self) -> None:
        """Stop accepting, cancel handshakes, and close the sessions."""
        if self._handover is not None:
            self._handover.stop()
        await super().stop()

    def ask_to_rehome(self) -> None:
        self.registry.ask_to_rehome()

    def close_sessions(self) -> None:
        self.registry.close_sessions()

    def _server_config(self) -> ServerConfig:
        config = self._identity.config()
        return replace(config, draining=True) if self.draining else config

    def _accept_handed_over(self, connection: socket.socket, received: bytes) -> None:
        """Accept a subflow from another worker, which no longer counts it."""
        try:
            address = connection.getpeername()
        except OSError as error:
            log.info("a subflow ended before its hand-over: %s", error)
            connection.close()
            return
        self._accept_subflow(connection, address, received, handed_over=True)
