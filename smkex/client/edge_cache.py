"""Which edge owned the last session behind a service address, so that the next opens both paths at its locator.

The id is a hint about where to dial, never a fact: the exchange that follows proves everything afresh. A wrong
id costs one fresh start at the service port.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from smkex.core.errors import MalformedMessage
from smkex.core.wire.messages import LocatorKind
from smkex.transport.routes.target import Target

LIFETIME = 3600.0  # seconds
LIMIT = 1024  # addresses
FILE_LIMIT = 256 << 10  # bytes of a file that is read at all

_UNREADABLE = (OSError, ValueError, TypeError, AttributeError, RecursionError)

Interfaces = tuple[str, str]  # over other networks another edge is nearest


class EdgeCache:
    """Edge ids by target and paths, in memory. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ids: dict[str, tuple[int, float, str]] = {}

    def get(self, target: Target, interfaces: Interfaces) -> tuple[Target, int] | None:
        """The edge's id, and the target with the kind of its locators."""
        edge_id, expiry, kind = self._ids.get(_cache_key(target, interfaces), (0, 0.0, ""))
        # an expiry beyond the lifetime is invalid: the clock was set back, or the file is forged
        if not 0 < expiry - self._clock() <= LIFETIME:
            return None
        try:
            located = replace(target, kind=target.kind or LocatorKind[kind])
            located.locator(edge_id)
        except (KeyError, MalformedMessage):
            return None
        return located, edge_id

    def put(self, target: Target, interfaces: Interfaces, edge_id: int) -> None:
        key = _cache_key(target, interfaces)
        self._ids.pop(key, None)
        while len(self._ids) >= LIMIT:
            del self._ids[next(iter(self._ids))]
        self._ids[key] = (edge_id, self._clock() + LIFETIME, target.kind.name if target.kind else "")

    def drop(self, target: Target, interfaces: Interfaces) -> None:
        self._ids.pop(_cache_key(target, interfaces), None)


class EdgeCacheFile(EdgeCache):
    """Edge ids in a file (mode 0600), for short-lived commands. An unreadable file is an empty cache."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self.path = path

    @classmethod
    def open_default(cls) -> "EdgeCacheFile | None":
        """SENNIT_EDGE_CACHE (`none` for none), or edges.json in the user's cache folder."""
        given = os.environ.get("SENNIT_EDGE_CACHE")
        if given == "none":
            return None
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(Path(given or home / "sennit" / "edges.json"))

    def get(self, target: Target, interfaces: Interfaces) -> tuple[Target, int] | None:
        self._read()
        return super().get(target, interfaces)

    def put(self, target: Target, interfaces: Interfaces, edge_id: int) -> None:
        self._read()
        super().put(target, interfaces, edge_id)
        self._write()

    def drop(self, target: Target, interfaces: Interfaces) -> None:
        self._read()
        if _cache_key(target, interfaces) in self._ids:
            super().drop(target, interfaces)
            self._write()

    def _read(self) -> None:
        self._ids = {}
        with suppress(*_UNREADABLE), self.path.open("rb") as file:
            for key, (edge_id, expiry, kind) in json.loads(file.read(FILE_LIMIT)).items():
                if type(edge_id) is int and isinstance(expiry, int | float) and isinstance(kind, str):
                    self._ids[key] = (edge_id, expiry, kind)

    def _write(self) -> None:
        # of two concurrent writers one is lost, which costs it a fresh start
        with suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            with os.fdopen(descriptor, "w") as file:
                json.dump(self._ids, file)
            os.replace(temporary, self.path)


def _cache_key(target: Target, interfaces: Interfaces) -> str:
    return f"{target.vip} {target.service_port} {target.id_port_base} {' '.join(interfaces)}"
