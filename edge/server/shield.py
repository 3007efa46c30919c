"""The shield of this worker: follow shield.json, ask other edges by it, and answer them where this site shields."""

import asyncio
import logging
import socket

from edge.config.settings import EdgeSettings
from edge.ingress.https import HttpsListener
from edge.origins.shield.shield_peers import ShieldPeers
from node.state.catalogue import SHIELD
from node.state.shield import ShieldEdge, ShieldSites, read_shield_sites
from node.state.state_file import FileWatch
from smkex.http.server.http_server import HttpServer

log = logging.getLogger("edge.server.shield")

POLL_SECONDS = 0.5
BACKLOG = 256


class ShieldFollower:
    """`server` answers other edges at `--shield-port` of this edge's tunnel address; each worker has its listener."""

    def __init__(self, settings: EdgeSettings, own_id: int, peers: ShieldPeers, server: HttpServer) -> None:
        self._settings = settings
        self._own_id = own_id
        self._peers = peers
        self._server = server
        self._watch = FileWatch(SHIELD, settings.state)
        self._listener: HttpsListener | None = None
        self._listening_as: tuple[ShieldEdge, bytes] | None = None

    async def follow_file(self) -> None:
        """Apply the file as it changes, until cancelled."""
        while True:
            if self._watch.has_changed():
                try:
                    await self.apply_sites(read_shield_sites(self._settings.state))
                except (OSError, ValueError) as error:
                    log.warning("shield.json not applied: %s", error)
                    self._watch.forget_version()
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Stop answering other edges."""
        if self._listener is not None:
            await self._listener.stop()
        self._listener, self._listening_as = None, None

    async def apply_sites(self, known: ShieldSites) -> None:
        """Ask these edges, and answer if this one is among them. Raises OSError."""
        self._peers.apply_sites(known)
        own = known.find_edge(self._own_id)
        wanted = (own, known.key) if own is not None else None
        if wanted == self._listening_as:
            return
        await self.stop()
        if own is not None and self._peers.identity is not None:
            listening = _listen_shared(own.address, self._settings.shield_port)
            self._listener = HttpsListener(self._server, self._peers.identity.server, self._settings)
            self._listener.start(listening)
            self._listening_as = wanted


def _listen_shared(address: str, port: int) -> socket.socket:
    """Listen beside the other workers. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=BACKLOG, reuse_port=True)
