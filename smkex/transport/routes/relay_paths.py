"""Interfaces that lead through a relay: what `sennit path` says of them to every client of this host.

One JSON file each, without secrets, in a folder that root alone writes (`/run/sennit/paths`, or SENNIT_PATHS). A file
counts only while its interface is there.
"""

import ipaddress
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smkex.transport.routes.routes import Address

DEFAULT_FOLDER = Path("/run/sennit/paths")
SIZE_LIMIT = 65536  # bytes of a file
FILE_LIMIT = 64
TEXT_LIMIT = 64
RESOLVER_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class RelayPath:
    """An interface that WireGuard carries to `relay` at `endpoint`, whose packets leave by `underlay`.

    The far end carries nothing but packets to and from `prefixes` and `resolvers`, as `--resolver` has them.
    """

    interface: str
    relay: str
    endpoint: str
    underlay: str
    prefixes: tuple[str, ...]
    resolvers: tuple[str, ...]

    def versions(self) -> set[int]:
        """Return the IP versions of the addresses that it leads to."""
        return {6 if ":" in prefix else 4 for prefix in self.prefixes}

    def as_text(self) -> str:
        """Return the file's content."""
        return json.dumps(asdict(self), sort_keys=True) + "\n"


def description_folder() -> Path:
    """Return the folder of the files."""
    return Path(os.environ.get("SENNIT_PATHS") or DEFAULT_FOLDER)


def read_relay_paths() -> dict[str, RelayPath]:
    """Return the relay paths of this host by interface; files that are not as they should be are left out."""
    try:
        files = sorted(description_folder().glob("*.json"))[:FILE_LIMIT]
    except OSError:
        return {}
    found = {}
    for file in files:
        path = _read_description(file)
        if path is not None and path.interface == file.stem and _has_interface(path.interface):
            found[path.interface] = path
    return found


def parse_endpoint_address(endpoint: str) -> Address:
    """Return the address of ADDRESS:PORT; raises ValueError."""
    return ipaddress.ip_address(endpoint.rpartition(":")[0].removeprefix("[").removesuffix("]"))


def _read_description(file: Path) -> RelayPath | None:
    try:
        with file.open("rb") as opened:
            content = opened.read(SIZE_LIMIT + 1)
        fields = json.loads(content) if len(content) <= SIZE_LIMIT else None
        if not isinstance(fields, dict):
            return None
        names = [_read_text(fields, name) for name in ("interface", "relay", "endpoint", "underlay")]
        prefixes = tuple(str(ipaddress.ip_network(each)) for each in fields["prefixes"])
        resolvers = tuple(_require_text(each, RESOLVER_LIMIT) for each in fields["resolvers"])
        parse_endpoint_address(names[2])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return RelayPath(names[0], names[1], names[2], names[3], prefixes, resolvers)


def _read_text(fields: dict[str, Any], name: str) -> str:
    return _require_text(fields[name], TEXT_LIMIT)


def _require_text(value: Any, limit: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= limit or not value.isprintable():
        raise ValueError("not a text")
    return value


def _has_interface(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True
