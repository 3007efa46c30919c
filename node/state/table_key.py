"""The keys that a node's forwarding tables are signed with, and where a daemon of the node takes them from.

Agents pin the key of their enrolment in table.key, and keep the one that follows it, with the signed links from each to
the next. A file of root's that the environment names (the units name /etc/sennit/table.key) counts before it: only what
follows root's key by signed links is believed, so an agent that was taken over gives no daemon a table of its own.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from node.fields import require_mapping
from node.key_link import LINKS_KEPT, KeyLink, find_followers, read_links
from node.state.catalogue import TABLE_KEY
from node.state.trusted_open import open_trusted

TABLE_KEY_VARIABLE = "SENNIT_TABLE_KEY"
ROOT = 0
SIZE_LIMIT = 1024  # bytes
FINGERPRINT = 16  # hexadecimal digits of a key that heartbeats carry


class TableKeyUnknown(ValueError):
    """There is no key to verify tables with, or it is another one; the text says what to do."""


@dataclass(frozen=True, slots=True)
class TableKeyRing:
    """The key in use, the one that follows it during a rotation (32 bytes each), and links from keys before."""

    current: bytes
    following: bytes | None = None
    links: tuple[KeyLink, ...] = ()

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Return the keys that are accepted."""
        return (self.current,) if self.following is None else (self.current, self.following)

    def to_json(self) -> dict[str, Any]:
        """Return the content of table.key."""
        content: dict[str, Any] = encode_key(self.current)
        if self.following is not None:
            content["next"] = self.following.hex()
        if self.links:
            content["links"] = [link.to_json() for link in self.links]
        return content

    @classmethod
    def from_json(cls, value: Any) -> "TableKeyRing":
        """Raises `ValueError` that names the field."""
        fields = require_mapping(value, "table.key")
        following = _parse_hex(fields["next"]) if "next" in fields else None
        return cls(_parse_key(value), following, read_links(fields))


def read_key_ring(state: Path) -> TableKeyRing | None:
    """Return the keys that the agent keeps; None where the file is missing or damaged."""
    try:
        return TableKeyRing.from_json(TABLE_KEY.find_object(state))
    except ValueError:
        return None


def read_table_key(state: Path) -> bytes | None:
    """Return the key in use that the agent keeps; None where it is missing or damaged."""
    ring = read_key_ring(state)
    return ring.current if ring else None


def trusted_table_keys(state: Path) -> tuple[bytes, ...]:
    """Return the keys that tables are believed by: one, or two during a rotation. Raises `TableKeyUnknown`.

    They are the agent's; where the environment names a file, only that file's key and what follows it.
    """
    placed, ring = _read_placed_key(), read_key_ring(state)
    if placed is not None:
        return (placed,) if ring is None else _select_following(placed, ring)
    if ring is None:
        raise TableKeyUnknown(
            f"{TABLE_KEY.path_in(state)} is missing or invalid, so no table can be verified: start the agent again"
        )
    return ring.keys


def _select_following(placed: bytes, ring: TableKeyRing) -> tuple[bytes, ...]:
    """Return the agent's keys that follow root's, else root's alone."""
    known = find_followers(placed, ring.links)
    found = tuple(key for key in ring.keys if key in known)
    return found if ring.current in known else (placed, *(key for key in found if key != placed))


def verify_with_any(keys: Sequence[bytes], check: Callable[[bytes], object]) -> bytes:
    """Return the first key with which `check` raises no ValueError; raises what the last one raised."""
    for key in keys[:-1]:
        try:
            check(key)
        except ValueError:
            continue
        return key
    check(keys[-1])
    return keys[-1]


def is_managed(state: Path) -> bool:
    """Return whether the node belongs to a control plane: a key for its tables and services was placed or pinned."""
    return bool(os.environ.get(TABLE_KEY_VARIABLE)) or TABLE_KEY.version_in(state) is not None


def pin_table_key(state: Path, key: bytes) -> None:
    """Keep the first key that is seen; raises `TableKeyUnknown` where another was kept or placed before."""
    placed, ring = _read_placed_key(), read_key_ring(state)
    if ring is not None and key in ring.keys and placed is None:
        return
    if placed is not None and key not in trusted_table_keys(state):
        raise TableKeyUnknown(
            f"the control plane's table key is not the one in {os.environ[TABLE_KEY_VARIABLE]}: if the change is "
            "intended, run the playbook edge.yml, which replaces the file"
        )
    if placed is None and ring is not None:
        raise TableKeyUnknown(
            "the control plane's table key differs from the one of this node's enrolment: if the change is "
            f"intended, remove {TABLE_KEY.path_in(state)}"
        )
    if ring is None or key not in ring.keys:
        TABLE_KEY.write_object(state, TableKeyRing(key).to_json())


def learn_keys(state: Path, current: bytes, following: bytes | None, links: Sequence[KeyLink]) -> bool:
    """Keep the key that follows a trusted one by signed links; return whether anything changed.

    A node that was away for a whole rotation, or several, accepts the key in use besides its own, until what is stored
    is signed with it (`promote_key`). Raises `TableKeyUnknown` where no link leads to it.
    """
    trusted, ring = trusted_table_keys(state), read_key_ring(state)
    wanted = following if current == trusted[0] else current
    known = ring.links if ring else ()
    for key in trusted:
        known = _add_path(known, key, links)
    if wanted is not None and all(wanted not in find_followers(key, known) for key in trusted):
        raise TableKeyUnknown(
            "the control plane signs with a key that none of this node's keys has signed: if it was replaced, "
            "run the playbook edge.yml, or enrol again (`sennit edges re-enrol`)"
        )
    fresh = TableKeyRing(trusted[0], wanted, known)
    if fresh == ring:
        return False
    TABLE_KEY.write_object(state, fresh.to_json())
    return True


def _add_path(known: tuple[KeyLink, ...], key: bytes, offered: Sequence[KeyLink]) -> tuple[KeyLink, ...]:
    """Add the links that lead on from a key, and no others: what strangers sign displaces nothing."""
    path = find_followers(key, (*offered, *known))
    steps = set(pairwise(path))
    found = (link for link in offered if (link.before, link.after) in steps and link.is_signed)
    return tuple(dict.fromkeys((*known, *found)))[-LINKS_KEPT:]


def promote_key(state: Path) -> None:
    """Accept the following key alone: what is stored is signed with it."""
    ring = read_key_ring(state)
    if ring is not None and ring.following is not None:
        TABLE_KEY.write_object(state, replace(ring, current=ring.following, following=None).to_json())


def encode_key(key: bytes) -> dict[str, str]:
    """Return the content of a key file."""
    return {"ed25519": key.hex()}


def _read_placed_key() -> bytes | None:
    """Return the key of the file that the environment names; None where it names none."""
    if not (name := os.environ.get(TABLE_KEY_VARIABLE)):
        return None
    try:
        with open_trusted(Path(name), frozenset({ROOT})) as file:
            return _parse_key(json.loads(file.read(SIZE_LIMIT)))
    except (OSError, ValueError, RecursionError) as error:
        raise TableKeyUnknown(
            f"{name} ({TABLE_KEY_VARIABLE}): {error}: write the output of `sennit table-key` there, as root"
        ) from None


def _parse_key(value: Any) -> bytes:
    return _parse_hex(value.get("ed25519") if isinstance(value, dict) else None)


def _parse_hex(text: Any) -> bytes:
    if not isinstance(text, str) or len(key := bytes.fromhex(text)) != 32:
        raise ValueError('not {"ed25519": 64 hexadecimal digits}')
    return key
