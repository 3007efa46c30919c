"""Check the agents of a few other edges, over the backbone and from outside, at the addresses of the signed table.

An edge whose backbone is cut can serve no client: no second subflow reaches it. When its control plane is silent too,
it can only ask a peer from outside: one that announces and is not cut off itself stands in for it. Only an answer that
the peer has signed for this question counts.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from balancer.agent.bounded_answer import NoAnswer, NotListening, fetch_object
from balancer.agent.peers.signed_answer import NONCE_BYTES, PeerAnswer, verify_answer
from balancer.model.table import TableEdge

TIMEOUT = 1.0
FAILED_AFTER = 2  # times in a row
BODY_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """One peer as of the last check. None: not known, or the table has no key or address to ask it.

    `generation`: of the forwarding table that it has, as it last answered.
    """

    backbone: bool | None = None
    outside: bool | None = None
    generation: int | None = None
    serves: bool = False  # reports, from outside, that it announces and is not cut off
    failures: tuple[int, int] = (0, 0)


def is_peer_address(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an agent of another edge can have this address: a unicast one that leads off this host."""
    inner = getattr(address, "ipv4_mapped", None) or address
    return not (
        inner.is_loopback
        or inner.is_unspecified
        or inner.is_multicast
        or inner.is_link_local
        or inner.is_reserved
    )


class PeerMonitor:
    """The status of each peer's agent."""

    def __init__(
        self, port: int, accepts: Callable[[IPv4Address | IPv6Address], bool] = is_peer_address
    ) -> None:
        self._port = port
        self._accepts = accepts
        self.statuses: dict[int, PeerStatus] = {}

    @property
    def cut_off(self) -> bool:
        """Whether there are peers, and none answers over the backbone."""
        known = [seen.backbone for seen in self.statuses.values() if seen.backbone is not None]
        return bool(known) and not any(known)

    def stand_in(self) -> int | None:
        """A peer that serves while this edge is cut off."""
        if not self.cut_off:
            return None
        return next((edge_id for edge_id, seen in sorted(self.statuses.items()) if seen.serves), None)

    async def check_peers(self, peers: tuple[TableEdge, ...]) -> None:
        """Check every peer once, concurrently."""
        self.statuses = {peer.id: self.statuses.get(peer.id, PeerStatus()) for peer in peers}
        await asyncio.gather(*(self._check_peer(peer) for peer in peers))

    async def _check_peer(self, peer: TableEdge) -> None:
        before = self.statuses[peer.id]
        if peer.peer_key is None:
            self.statuses[peer.id] = PeerStatus()
            return
        inside, outside = await asyncio.gather(
            self._ask(peer.tunnel_v4 or peer.tunnel_v6, peer), self._ask(peer.outside, peer)
        )
        newest = inside or outside
        failures = (
            0 if inside is not None else before.failures[0] + 1,
            0 if outside is not None else before.failures[1] + 1,
        )
        self.statuses[peer.id] = replace(
            before,
            backbone=_debounce_reachability(before.backbone, failures[0]),
            outside=_debounce_reachability(before.outside, failures[1]) if peer.outside else None,
            generation=newest.generation if newest else before.generation,
            serves=outside is not None and outside.announcing and not outside.cut_off,
            failures=failures,
        )

    async def _ask(self, address: str | None, peer: TableEdge) -> PeerAnswer | None:
        """Ask at one address; None unless the peer answers this question, in time (monotonic)."""
        if peer.peer_key is None or address is None or not self._accepts(ip_address(address)):
            return None
        host = f"[{address}]" if ":" in address else address
        nonce = secrets.token_bytes(NONCE_BYTES)
        try:
            async with asyncio.timeout(TIMEOUT):
                body = await fetch_object(f"http://{host}:{self._port}/peer/{nonce.hex()}", BODY_LIMIT)
            return verify_answer(body, peer.id, peer.peer_key, nonce)
        except (NotListening, NoAnswer, TimeoutError, ValueError):
            return None


def _debounce_reachability(before: bool | None, failures: int) -> bool | None:
    if not failures:
        return True
    return False if failures >= FAILED_AFTER else before
