"""`sennit probe run`: key exchanges from the probe namespace, as a client of this edge would do them.

One goes to this edge's own service (service port and own locator). One goes to each of a few other edges: both paths to
its locator, so that they cross this edge's hook, the tunnel, the owner, and come back the same way.
"""

import asyncio
import logging
import time
from ipaddress import ip_address
from pathlib import Path

from balancer.agent.peers.neighbours import PeerSelection
from balancer.model.table import EdgeState, TableEdge
from node.state.identity import NodeIdentity, find_identity
from node.state.probe_results import ProbeResult, write_results
from node.vip import Replies, Vip
from smkex.core.errors import PeerAborted, SmkexError
from smkex.core.handshake.config import ClientConfig
from smkex.transport.driver import SessionDriver
from smkex.transport.exchange import exchange_keys, exchange_keys_at
from smkex.transport.routes.target import Target
from smkex.transport.tcp.transport import TcpTransport

log = logging.getLogger("probe")

TRIES = 2  # one lost packet is no failure
SERVICE = "probe-service"


class Prober:
    """Probes this edge and its peers, over and over."""

    def __init__(self, state: Path, interface: str, timeout: float) -> None:
        self._state = state
        self._interface = interface
        self._timeout = timeout
        self._neighbourhood = PeerSelection(state)
        self._failing: set[str] = set()

    async def run(self, every: float) -> None:
        """A round every so many seconds, until cancelled."""
        while True:
            if (node := find_identity(self._state)) is not None:
                started, results = time.monotonic(), await self.round(node)
                write_results(self._state, started, results)
                self._log_changes(results)
            await asyncio.sleep(every)

    async def round(self, node: NodeIdentity) -> list[ProbeResult]:
        """Probe everything once, all at the same time."""
        peers = [peer for peer in self._neighbourhood.peers(node.edge_id) if peer.state is not EdgeState.DOWN]
        if node.vip.replies is Replies.DIRECT:
            peers = []  # a probe's address is known on this host alone: no owner has a way of its own to it
        probes = [self._try(node, None), *(self._try(node, peer) for peer in peers)]
        return list(await asyncio.gather(*probes))

    async def _try(self, node: NodeIdentity, peer: TableEdge | None) -> ProbeResult:
        name = f"probe-forwarding edge {peer.id}" if peer else SERVICE
        why = ""
        for _ in range(TRIES):
            why = await self._probe(node, peer.id if peer else None)
            if not why:
                break
        return ProbeResult(name, not why, why, peer.id if peer else None)

    async def _probe(self, node: NodeIdentity, owner: int | None) -> str:
        """Exchange keys once; return what went wrong, or nothing."""
        target = _probe_target(node.vip)
        ways = TcpTransport(target, (self._interface,) * 2, allow_shared_path=True)
        config = ClientConfig(allow_shared_path=True, locator=target.kind)
        try:
            if owner is None:
                session = await exchange_keys(ways, config, self._timeout)
            else:
                session = await exchange_keys_at(ways, config, self._timeout, owner)
        except PeerAborted:
            return ""  # it drains, or has no room, or asks for another mode: it is there, and says so itself
        except (SmkexError, OSError) as error:
            return str(error) or type(error).__name__
        try:
            return _check_session(session, node, owner)
        finally:
            session.abort()

    def _log_changes(self, results: list[ProbeResult]) -> None:
        failing = {result.reason for result in results if not result.ok}
        for reason in failing - self._failing:
            log.warning(reason)
        for reason in self._failing - failing:
            log.info("over: %s", reason)
        self._failing = failing


def _check_session(session: SessionDriver, node: NodeIdentity, owner: int | None) -> str:
    """Who answered, and by which edge each path entered the CDN, as the owner saw it."""
    wanted, answered = owner or node.edge_id, session.established.edge_id
    if answered != wanted:
        return f"edge {answered} answered"
    for path, seen in enumerate(session.established.observed):
        if seen.ingress_id != node.edge_id:
            return f"path {path} was seen to enter at edge {seen.ingress_id}"
    return ""


def _probe_target(vip: Vip) -> Target:
    """Of a VIP with both families the IPv4 address is probed."""
    address = vip.v4 or vip.v6
    assert address is not None  # vip_from_json sees to it
    ip = ip_address(address)
    return Target(ip, vip.service_port, vip.id_port_base, vip.locator_kind(ip.version))
