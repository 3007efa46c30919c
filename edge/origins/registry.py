"""The origins of all services in one worker: what does not change from one revision to the next stays as it is.

An origin keeps its connections, its ejection and its checks where only weights, groups or other origins change.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

from edge.origins.addresses import IPAddress
from edge.origins.checks.schedule import CheckSchedule
from edge.origins.checks.watched_origin import WatchedOrigin
from edge.origins.connecting import OriginConnector
from edge.origins.origin_client import OriginClient
from edge.origins.origin_group import GroupMember, ServiceOrigins
from edge.origins.origin_state import OriginState
from edge.origins.published_health import describe_origins
from edge.origins.selection import HashedUrl, WeightedTurns
from edge.origins.shield.invalidations import InvalidateShield
from edge.origins.shield.shield_peers import ShieldPeers
from edge.origins.tls import make_tls_context
from services.document import HttpService
from services.origins import Balancing, Origin, OriginGroup

LINGER_SECONDS = (
    10.0  # that an origin without a service keeps its connections: the next revision may have it too
)

OriginKey = tuple[str, Origin, bytes]


@dataclass(eq=False)
class SharedOrigin:
    """One origin of one service, for as many revisions as have it."""

    client: OriginClient
    state: OriginState
    watched: WatchedOrigin | None = None
    users: int = 0
    closing: asyncio.TimerHandle | None = field(default=None, repr=False)


class OriginRegistry:
    """Makes the origins of services. `name` is this edge's; `seed` sets where the turns of weighted origins begin."""

    def __init__(
        self,
        name: str,
        refusal: Callable[[IPAddress], str | None],
        seed: int = 0,
        peers: ShieldPeers | None = None,
    ) -> None:
        self._peers = peers
        self._name = name
        self._refusal = refusal
        self._seed = seed
        self._shared: dict[OriginKey, SharedOrigin] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.checks = CheckSchedule()

    def make_origins(self, service: str, document: HttpService, secrets: Mapping[str, str]) -> ServiceOrigins:
        """Make the origins of a service's revision. Raises `OriginUnusable`."""
        keys = [_key_of(service, origin, secrets) for origin in document.origins]
        members = [
            GroupMember(origin, shared.client, shared.state, shared.watched)
            for origin, key in zip(document.origins, keys, strict=True)
            for shared in [self._share_origin(key, secrets)]
        ]
        hashed = document.balancing is Balancing.HASH_URL
        selection = (
            HashedUrl() if hashed else WeightedTurns(self._seed ^ int.from_bytes(_hash_text(service)[:4]))
        )
        return ServiceOrigins(
            service,
            members,
            selection,
            document.retry,
            shield=self._make_shield(document),
            shield_fields=self._peers.request_fields if self._peers is not None else list,
            invalidate_shield=self._make_shield_invalidation(document),
            on_use=self.checks.note_use,
            on_close=lambda: self._release_origins(keys),
        )

    @property
    def origins(self) -> Mapping[OriginKey, SharedOrigin]:
        """All origins that are in use or were a moment ago."""
        return self._shared

    def facts(self) -> dict[str, Any]:
        """Return what health publishes of the origins."""
        origins = ((service, key.name, shared.state) for (service, key, _), shared in self._shared.items())
        return describe_origins(origins)

    async def close(self) -> None:
        """Close all connections; requests have ended."""
        for shared in self._shared.values():
            if shared.closing is not None:
                shared.closing.cancel()
        for shared in self._shared.values():
            await shared.client.close()
        self._shared.clear()
        await asyncio.gather(*self._closing)

    def _make_shield(self, document: HttpService) -> Callable[[str], GroupMember | None] | None:
        if document.shield is None or self._peers is None:
            return None
        return partial(self._peers.choose_peer, document.shield.site)

    def _make_shield_invalidation(self, document: HttpService) -> InvalidateShield | None:
        if document.shield is None or self._peers is None:
            return None
        return partial(self._peers.invalidate, document.shield.site)

    def _share_origin(self, key: OriginKey, secrets: Mapping[str, str]) -> SharedOrigin:
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = self._open_origin(key[0], key[1], secrets)
        if shared.closing is not None:
            shared.closing.cancel()
            shared.closing = None
        shared.users += 1
        return shared

    def _open_origin(self, service: str, origin: Origin, secrets: Mapping[str, str]) -> SharedOrigin:
        key = secrets.get(origin.tls.client_key) if origin.tls.client_key is not None else None
        context = make_tls_context(origin.tls, key) if origin.url.startswith("https://") else None
        connector = OriginConnector(
            context, origin.tls.server_name, self._refusal, proxy_protocol=origin.proxy_protocol
        )
        client = OriginClient(origin, self._name, connector.open_stream)
        state = OriginState(origin.ejection)
        watched = None
        if origin.health is not None:
            watched = WatchedOrigin(service, origin, origin.health, state, connector.open_stream)
        return SharedOrigin(client, state, watched)

    async def _release_origins(self, keys: list[OriginKey]) -> None:
        for key in keys:
            shared = self._shared.get(key)
            if shared is None:
                continue
            shared.users -= 1
            if not shared.users:
                shared.closing = asyncio.get_running_loop().call_later(
                    LINGER_SECONDS, self._close_unused, key
                )

    def _close_unused(self, key: OriginKey) -> None:
        shared = self._shared.pop(key)
        if shared.watched is not None:
            shared.watched.closed = True
        task = asyncio.create_task(shared.client.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _key_of(service: str, origin: Origin, secrets: Mapping[str, str]) -> OriginKey:
    """Return what must be equal for an origin to keep its connections; a secret only by its digest."""
    plain = origin.model_copy(update={"weight": 1, "group": OriginGroup.PRIMARY})
    return service, plain, _hash_text(secrets.get(origin.tls.client_key or "", ""))


def _hash_text(text: str) -> bytes:
    return sha256(text.encode()).digest()
