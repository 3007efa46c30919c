"""table.json: the forwarding table that the agent hands to the other daemons of its node."""

import contextlib
from pathlib import Path

from balancer.model.table import ForwardingTable
from node.state.catalogue import TABLE
from node.state.state_file import FileWatch


def load_table(state: Path) -> ForwardingTable:
    """Return the table; raises OSError, and ValueError that names the field."""
    return ForwardingTable.from_json(TABLE.read_object(state))


class TableFile:
    """The table, parsed again only when the file was replaced; each reader keeps its own."""

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
