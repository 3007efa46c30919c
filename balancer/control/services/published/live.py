"""The published services in memory, serialised only on request.

While a rollout is under way, edges of its stages get the candidate and the others the active revision: each selection
of candidates is a view of its own, signed by itself, and cached as long as the generation lasts.
"""

import base64
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from balancer.control.services.published.stage import Stage
from balancer.control.table.signing_key import SigningKeys
from services.published import PublishedService, signed_bytes

KEPT_GENERATIONS = 256
CACHED_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class LiveService:
    """A service: its active revision, and the candidate with the stages that have it."""

    active: PublishedService | None
    candidate: PublishedService | None = None
    stages: tuple[Stage, ...] = ()
    since: int = 0  # the generation of its last change

    def has_candidate(self, name: str, edge_id: int, site: str) -> bool:
        """Return whether an edge gets the candidate."""
        return any(stage.includes(name, edge_id, site) for stage in self.stages)


class LiveServices:
    """The newest generation, and which services the generations before it changed."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._signed_with = keys.current
        self.generation = 0
        self.services: dict[str, LiveService] = {}
        self._active_size = 0
        self._order: tuple[list[str], list[bytes]] | None = None
        self._changed: OrderedDict[int, frozenset[str]] = OrderedDict()
        self._rolling: set[str] = set()
        self._forget_bodies()

    @property
    def size(self) -> int:
        """Return the bytes of all active revisions."""
        return self._active_size

    @property
    def is_rolling(self) -> bool:
        """Return whether any rollout is under way."""
        return bool(self._rolling)

    def rolling_services(self) -> list[tuple[str, LiveService]]:
        """Return the services with a rollout under way."""
        return [(name, self.services[name]) for name in self._rolling]

    def load(self, generation: int, services: Mapping[str, LiveService]) -> None:
        """Replace everything by what is stored."""
        self.services.clear()
        self._active_size = 0
        self._rolling.clear()
        self._changed.clear()
        self._put(services)
        self.generation = generation
        self._forget_bodies()

    def remember(self, generation: int, names: Iterable[str]) -> None:
        """Record what an earlier generation changed."""
        self._changed[generation] = frozenset(names)
        while len(self._changed) > KEPT_GENERATIONS:
            self._changed.popitem(last=False)

    def advance(self, generation: int, changes: Mapping[str, LiveService | None]) -> None:
        """Apply the changes of the next generation; None: the service is not served any more."""
        self._put(changes)
        self.generation = generation
        self.remember(generation, changes)
        self._forget_bodies()

    def _put(self, changes: Mapping[str, LiveService | None]) -> None:
        for name, service in changes.items():
            before = self.services.pop(name, None)
            self._rolling.discard(name)
            self._active_size += _active_bytes(service) - _active_bytes(before)
            if service is not None:
                self.services[name] = service
                if service.candidate:
                    self._rolling.add(name)
            if (before is None) != (service is None):
                self._order = None
            elif self._order is not None and service is not None:
                names, digests = self._order
                digests[bisect_left(names, name)] = _digest_of(service.active)

    def _forget_bodies(self) -> None:
        self._signatures: dict[frozenset[str], bytes] = {}
        self._bodies: OrderedDict[tuple[frozenset[str], int | None], bytes] = OrderedDict()
        self._cached = 0

    def select_candidates(self, edge_id: int, site: str) -> frozenset[str]:
        """Return the services of which an edge gets the candidate."""
        return frozenset(
            name for name in self._rolling if self.services[name].has_candidate(name, edge_id, site)
        )

    def body(self, candidates: frozenset[str], since: int | None = None) -> bytes:
        """Return the JSON of a view: the whole, or what changed since a generation if that is still known."""
        if self._signed_with is not (key := self._keys.current):
            self._signed_with = key
            self._forget_bodies()
        if since is not None and (since >= self.generation or since + 1 not in self._changed):
            since = None
        of = candidates, since
        if of not in self._bodies:
            self._bodies[of] = self._serialise(candidates, since)
            self._cached += len(self._bodies[of])
            while self._cached > CACHED_BYTES and len(self._bodies) > 1:
                self._cached -= len(self._bodies.popitem(last=False)[1])
        return self._bodies[of]

    def _changed_since(self, since: int) -> set[str]:
        newer = (names for generation, names in self._changed.items() if generation > since)
        # an edge that has moved to another site is in other stages than before
        return set(self._rolling).union(*newer)

    def _serialise(self, candidates: frozenset[str], since: int | None) -> bytes:
        names = self._digests_in_order()[0] if since is None else sorted(self._changed_since(since))
        found = [(name, self._published(name, candidates)) for name in names]
        lines = b",".join(service.line for _, service in found if service)
        gone = b",".join(b'"%s"' % name.encode() for name, service in found if not service)
        difference = b"" if since is None else b'"since":%d,"removed":[%s],' % (since, gone)
        whole = b'{"generation":%d,%s"services":[%s],"signature":"%s"}'
        return whole % (self.generation, difference, lines, self._signature(candidates))

    def _published(self, name: str, candidates: frozenset[str]) -> PublishedService | None:
        service = self.services.get(name)
        if service is None:
            return None
        return service.candidate if name in candidates else service.active

    def _signature(self, candidates: frozenset[str]) -> bytes:
        if candidates not in self._signatures:
            names, digests = self._digests_in_order()
            if candidates:
                digests = digests.copy()
                for name in candidates:
                    digests[bisect_left(names, name)] = _digest_of(self.services[name].candidate)
            signed = self._signed_with.sign(signed_bytes(self.generation, digests))
            self._signatures[candidates] = base64.b64encode(signed)
        return self._signatures[candidates]

    def _digests_in_order(self) -> tuple[list[str], list[bytes]]:
        """Return the names in order, and what is signed of each active revision, empty where there is none."""
        if self._order is None:
            names = sorted(self.services)
            self._order = names, [_digest_of(self.services[name].active) for name in names]
        return self._order


def _digest_of(service: PublishedService | None) -> bytes:
    return service.digest if service is not None else b""


def _active_bytes(service: LiveService | None) -> int:
    return len(service.active.line) if service is not None and service.active is not None else 0
