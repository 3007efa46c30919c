"""The edges that shield services, as one worker asks them: which one has a key, and whether it answers."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.http.fields import Pairs
from edge.origins.connecting import OriginConnector
from edge.origins.origin_client import OriginClient
from edge.origins.origin_group import GroupMember
from edge.origins.origin_state import OriginState
from edge.origins.selection import HashedUrl
from edge.origins.shield.fleet_identity import NAME, FleetIdentity
from edge.origins.shield.invalidations import Invalidation, PeerInvalidations
from edge.origins.shield_exchange import SHIELD_PURGE_FIELD
from node.state.shield import ShieldEdge, ShieldSites
from services.origins import Ejection, Origin

CONNECT_TIMEOUT = 1.0  # seconds: a backbone's, and the origin stands in
CONNECTIONS = 256
EJECTION = Ejection(failures=3, seconds=10.0)


@dataclass(frozen=True, slots=True, eq=False)
class ShieldPeer:
    """Another edge, as a member of a group."""

    edge: ShieldEdge
    member: GroupMember
    invalidations: PeerInvalidations

    @property
    def name(self) -> str:
        return self.edge.name

    @property
    def weight(self) -> int:
        return self.edge.weight


class ShieldPeers:
    """The peers of edge `own_id`, whose name is `name`; they listen at `port`.

    `newest_purge` returns the number of the newest purge that this node has applied.
    """

    def __init__(
        self,
        own_id: int,
        name: str,
        port: int,
        newest_purge: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._newest_purge = newest_purge
        self._own_id = own_id
        self._name = name
        self._port = port
        self._clock = clock
        self._known = ShieldSites(b"", {})
        self._peers: dict[ShieldEdge, ShieldPeer] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.identity: FleetIdentity | None = None

    def apply_sites(self, known: ShieldSites) -> None:
        """Ask these edges from now on; unchanged ones keep their connections."""
        if self.identity is None or known.key != self._known.key:
            self.identity = FleetIdentity(known.key)
            self._drop_peers(set(self._peers))
        self._known = known
        self._drop_peers(set(self._peers) - {edge for edges in known.sites.values() for edge in edges})

    def choose_peer(self, site: str, key: str) -> GroupMember | None:
        """Return the edge of the site that shields `key`; None if it is this one, or none answers."""
        now = self._clock()
        candidates = [
            edge
            for edge in self._known.sites.get(site, ())
            if edge.id == self._own_id or self._may_ask(self._peer_of(edge), now)
        ]
        chosen = HashedUrl().choose(candidates, key) if candidates else None
        return None if chosen is None or chosen.id == self._own_id else self._peer_of(chosen).member

    async def invalidate(self, site: str, invalidation: Invalidation) -> None:
        """Invalidate at every edge of the site, whichever has the keys; one that does not answer is not asked."""
        others = [edge for edge in self._known.sites.get(site, ()) if edge.id != self._own_id]
        await asyncio.gather(*(self._peer_of(edge).invalidations.send(invalidation) for edge in others))

    def request_fields(self) -> Pairs:
        """Return what is said to a shielding edge: it must not answer with what was purged here already."""
        return [(SHIELD_PURGE_FIELD, str(self._newest_purge()))]

    async def close(self) -> None:
        """Close all connections."""
        self._drop_peers(set(self._peers))
        await asyncio.gather(*self._closing)

    def _may_ask(self, peer: ShieldPeer, now: float) -> bool:
        return not peer.invalidations.behind and peer.member.state.may_ask(now, repeatable=True)

    def _peer_of(self, edge: ShieldEdge) -> ShieldPeer:
        peer = self._peers.get(edge)
        if peer is None:
            peer = self._peers[edge] = self._open_peer(edge)
        return peer

    def _open_peer(self, edge: ShieldEdge) -> ShieldPeer:
        assert self.identity is not None  # sites come with a key
        host = f"[{edge.address}]" if ":" in edge.address else edge.address
        origin = Origin(
            name=f"shield-{edge.id}",
            url=f"https://{host}:{self._port}",
            connections=CONNECTIONS,
            connect_timeout=CONNECT_TIMEOUT,
            ejection=EJECTION,
        )
        connector = OriginConnector(self.identity.client, NAME)
        client = OriginClient(origin, self._name, connector.open_stream, is_shield=True)
        member = GroupMember(origin, client, OriginState(EJECTION))
        return ShieldPeer(edge, member, PeerInvalidations(client, edge.name))

    def _drop_peers(self, edges: set[ShieldEdge]) -> None:
        for edge in edges:
            task = asyncio.get_running_loop().create_task(_close_peer(self._peers.pop(edge)))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _close_peer(peer: ShieldPeer) -> None:
    await peer.invalidations.close()
    await peer.member.client.close()
