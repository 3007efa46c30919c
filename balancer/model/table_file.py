"""The forwarding table on disk, read again only when the file is another."""

import json
from pathlib import Path

from balancer.model.table import ForwardingTable


class TableFile:
    """table.json of a node's state folder; each reader keeps its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._table: ForwardingTable | None = None

    def read(self) -> ForwardingTable | None:
        """The newest that could be read; None before there is one."""
        try:
            about = self._path.stat()
            if (seen := (about.st_ino, about.st_mtime_ns)) != self._seen:
                self._table, self._seen = ForwardingTable.from_json(json.loads(self._path.read_text())), seen
        except (OSError, ValueError):
            pass  # gone or damaged: what was read before stands
        return self._table
