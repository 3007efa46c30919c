"""The options of `smkex.connect` as a type, for what passes them on: httpx transports, proxy, command."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from smkex.client.edge_cache import EdgeCache
from smkex.client.known_hosts import KnownHosts
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.wire.messages import LocatorKind, Mode


class ConnectOptions(TypedDict, total=False):
    """As `smkex.connect` says; host and port are the URL's."""

    paths: Sequence[str] | None
    transport: str
    id_port_base: int
    resolvers: Mapping[str, str] | None
    strict_paths: bool
    allow_shared_path: bool
    scheduler: Scheduler
    mode: Mode | None
    known_hosts: KnownHosts | None
    authorities: Path | None
    cache: EdgeCache | None
    locator: LocatorKind | None
    timeout: float
