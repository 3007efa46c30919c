"""Check the agents of a few other edges, over the backbone and from outside.

An edge whose backbone is cut can serve no client: no second subflow reaches it. When its control plane is silent too,
it can only ask a peer from outside: one that announces and is not cut off itself stands in for it.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from balancer.agent.bounded_answer import NoAnswer, NotListening, fetch_object
from balancer.model.table import TableEdge

log = logging.getLogger(__name__)

TIMEOUT = 1.0
FAILED_AFTER = 2  # times in a row
BODY_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """One peer as of the last check. None: not known, or no address to ask."""

    backbone: bool | None = None
    outside: bool | None = None
    outside_address: str | None = None
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
        tunnel = peer.tunnel_v4 or peer.tunnel_v6
        inside, outside = await asyncio.gather(
            self._ask(tunnel, peer.id), self._ask(before.outside_address, peer.id)
        )
        failures = (
            0 if inside is not None else before.failures[0] + 1,
            0 if outside is not None else before.failures[1] + 1,
        )
        address = _parse_address(inside["outside"]) if inside else None
        self.statuses[peer.id] = replace(
            before,
            backbone=_debounce_reachability(before.backbone, failures[0]),
            outside=_debounce_reachability(before.outside, failures[1]) if before.outside_address else None,
            outside_address=address or before.outside_address,
            serves=outside is not None and outside["announcing"] is True and outside["cut_off"] is False,
            failures=failures,
        )

    async def _ask(self, address: str | None, edge_id: int) -> dict[str, Any] | None:
        if address is None or not self._accepts(ip_address(address)):
            return None
        host = f"[{address}]" if ":" in address else address
        try:
            async with asyncio.timeout(TIMEOUT):
                body = await fetch_object(f"http://{host}:{self._port}/peer", BODY_LIMIT)
            if body["edge_id"] == edge_id:
                return {key: body[key] for key in ("announcing", "cut_off", "outside")}
        except (NotListening, NoAnswer, TimeoutError, ValueError, KeyError):
            pass
        return None


def _debounce_reachability(before: bool | None, failures: int) -> bool | None:
    if not failures:
        return True
    return False if failures >= FAILED_AFTER else before


def _parse_address(value: Any) -> str | None:
    try:
        return str(ip_address(value)) if isinstance(value, str) else None
    except ValueError:
        return None
