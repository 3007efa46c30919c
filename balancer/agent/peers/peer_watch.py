"""Ask the agents of a few other edges whether they are there, over the backbone and from outside.

An edge whose backbone is cut serves nobody: no second subflow reaches it. When its control plane is silent too, it
can only ask a peer from outside: one that announces and is not cut off itself stands in for it.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import httpx

from balancer.model.table import TableEdge

log = logging.getLogger(__name__)

TIMEOUT = 1.0
FAILED_AFTER = 2  # times in a row
BODY_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Seen:
    """One peer as last asked. None: not known, or no way to ask."""

    backbone: bool | None = None
    outside: bool | None = None
    outside_address: str | None = None
    stands: bool = False  # said, from outside, that it announces and is not cut off
    failures: tuple[int, int] = (0, 0)


class PeerWatch:
    """What is known of the peers' agents."""

    def __init__(self, port: int) -> None:
        self._port = port
        # one for good: each new client reads all certificates of the system, though none is needed here
        self._client = httpx.AsyncClient(timeout=TIMEOUT, trust_env=False)
        self.seen: dict[int, Seen] = {}

    @property
    def cut_off(self) -> bool:
        """Whether there are peers, and none answers over the backbone."""
        known = [seen.backbone for seen in self.seen.values() if seen.backbone is not None]
        return bool(known) and not any(known)

    def stand_in(self) -> int | None:
        """A peer that serves while this edge is cut off."""
        if not self.cut_off:
            return None
        return next((edge_id for edge_id, seen in sorted(self.seen.items()) if seen.stands), None)

    async def look(self, peers: tuple[TableEdge, ...]) -> None:
        """Ask every peer once, all at the same time."""
        self.seen = {peer.id: self.seen.get(peer.id, Seen()) for peer in peers}
        await asyncio.gather(*(self._look(peer) for peer in peers))

    async def _look(self, peer: TableEdge) -> None:
        before = self.seen[peer.id]
        tunnel = peer.tunnel_v4 or peer.tunnel_v6
        inside, outside = await asyncio.gather(
            self._ask(tunnel, peer.id), self._ask(before.outside_address, peer.id)
        )
        failures = (
            0 if inside is not None else before.failures[0] + 1,
            0 if outside is not None else before.failures[1] + 1,
        )
        address = _address(inside["outside"]) if inside else None
        self.seen[peer.id] = replace(
            before,
            backbone=_judge(before.backbone, failures[0]),
            outside=_judge(before.outside, failures[1]) if before.outside_address else None,
            outside_address=address or before.outside_address,
            stands=outside is not None and outside["announcing"] is True and outside["cut_off"] is False,
            failures=failures,
        )

    async def _ask(self, address: str | None, edge_id: int) -> dict[str, Any] | None:
        if address is None:
            return None
        host = f"[{address}]" if ":" in address else address
        try:
            async with asyncio.timeout(TIMEOUT):
                response = await self._client.get(f"http://{host}:{self._port}/peer")
                body = response.json() if len(response.content) <= BODY_LIMIT else None
            if isinstance(body, dict) and body["edge_id"] == edge_id:
                return {key: body[key] for key in ("announcing", "cut_off", "outside")}
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError):
            pass
        return None


def _judge(before: bool | None, failures: int) -> bool | None:
    if not failures:
        return True
    return False if failures >= FAILED_AFTER else before


def _address(value: Any) -> str | None:
    try:
        return str(ip_address(value)) if isinstance(value, str) else None
    except ValueError:
        return None
