"""table.json: the forwarding table and its signature, which each daemon of the node verifies by itself."""

import base64
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balancer.model.signature import verify
from balancer.model.table import ForwardingTable
from node.state.catalogue import TABLE
from node.state.state_file import FileWatch
from node.state.table_key import trusted_table_keys, verify_with_any

SIGNATURE = "signature"


def store_table(state: Path, table: Mapping[str, Any], signature: bytes) -> None:
    """Hand the node a table as it was signed, with the fields that newer control planes add."""
    TABLE.write_object(state, {**table, SIGNATURE: base64.b64encode(signature).decode()})


def read_signed_table(state: Path, keys: Sequence[bytes] | None = None) -> dict[str, Any]:
    """Return the table's JSON, signed with one of the keys; None: those that the node believes.

    Raises OSError, and ValueError (`signature.Forged` where it is not signed).
    """
    table = TABLE.read_object(state)
    signature = table.pop(SIGNATURE, None)
    if not isinstance(signature, str):
        raise TABLE.invalid("no signature")
    signed = base64.b64decode(signature, validate=True)
    verify_with_any(keys or trusted_table_keys(state), lambda key: verify(key, table, signed))
    return table


def load_table(state: Path) -> ForwardingTable:
    """Return the table; raises OSError, and ValueError that names the field."""
    return ForwardingTable.from_json(read_signed_table(state))


class TableFile:
    """The table, verified and parsed again only when the file was replaced; each reader keeps its own."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._watch = FileWatch(TABLE, state)
        self._table: ForwardingTable | None = None

    def read(self) -> ForwardingTable | None:
        """Return the newest valid table; None before there is one."""
        if self._watch.has_changed():
            with contextlib.suppress(OSError, ValueError):  # missing or damaged: keep the last valid one
                self._table = load_table(self._state)
        return self._table
