"""The key that a node's forwarding tables are signed with, and where a daemon of the node takes it from.

Agents pin the key of their enrolment in table.key. A file of root's that the environment names (the units name
/etc/sennit/table.key) counts before it: an agent that was taken over gives no daemon a table of its own.
"""

import json
import os
from pathlib import Path
from typing import Any

from node.state.catalogue import TABLE_KEY
from node.state.trusted_open import open_trusted

TABLE_KEY_VARIABLE = "SENNIT_TABLE_KEY"
ROOT = 0
SIZE_LIMIT = 1024  # bytes


class TableKeyUnknown(ValueError):
    """There is no key to verify tables with, or it is another one; the text says what to do."""


def read_table_key(state: Path) -> bytes | None:
    """Return the key that the agent pinned; None where it is missing or damaged."""
    try:
        return _parse_key(TABLE_KEY.find_object(state))
    except ValueError:
        return None


def trusted_table_key(state: Path) -> bytes:
    """Return the key of the file that the environment names, else the agent's. Raises `TableKeyUnknown`."""
    placed = _read_placed_key()
    key = read_table_key(state) if placed is None else placed
    if key is None:
        raise TableKeyUnknown(
            f"{TABLE_KEY.path_in(state)} is missing or invalid, so no table can be verified: start the agent again"
        )
    return key


def is_managed(state: Path) -> bool:
    """Return whether the node belongs to a control plane: a key for its tables and services was placed or pinned."""
    return bool(os.environ.get(TABLE_KEY_VARIABLE)) or TABLE_KEY.version_in(state) is not None


def pin_table_key(state: Path, key: bytes) -> None:
    """Keep the first key that is seen; raises `TableKeyUnknown` where another was kept or placed before."""
    placed, kept = _read_placed_key(), read_table_key(state)
    if placed not in (None, key):
        raise TableKeyUnknown(
            f"the control plane's table key is not the one in {os.environ[TABLE_KEY_VARIABLE]}: if the change is "
            "intended, run the playbook edge.yml, which replaces the file"
        )
    if kept not in (None, key):
        raise TableKeyUnknown(
            "the control plane's table key differs from the one of this node's enrolment: if the change is "
            f"intended, remove {TABLE_KEY.path_in(state)}"
        )
    if kept is None:
        TABLE_KEY.write_object(state, encode_key(key))


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
    text = value.get("ed25519") if isinstance(value, dict) else None
    if not isinstance(text, str) or len(key := bytes.fromhex(text)) != 32:
        raise ValueError('not {"ed25519": 64 hexadecimal digits}')
    return key
