"""The published table in memory: it changes entry by entry, and is serialised only on request.

With many edges a whole table is large, so what is requested repeatedly is cached: an entry's line, a generation's
signature, the whole, and the delta since each generation that a watcher has.
"""

import base64
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from balancer.control.table.changes import Change, Entry, Key
from balancer.control.table.signing_key import SigningKeys, public_bytes
from balancer.model.signature import signed_bytes, signed_line
from balancer.model.table import ForwardingTable, Site, TableEdge
from node.vip import Vip

KEPT_GENERATIONS = 256


class LiveTable:
    """The newest generation, and which entries the generations before it changed."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._signed_with = keys.current
        self.generation = 0
        self.entries: dict[Key, Entry] = {}
        self._lines: dict[Key, bytes] = {}
        self._changed: OrderedDict[int, frozenset[Key]] = OrderedDict()
        self._forget()

    @property
    def public_key(self) -> bytes:
        """Return the key that verifies signatures; 32 bytes."""
        return public_bytes(self._keys.current)

    def load(self, generation: int, entries: Mapping[Key, Entry]) -> None:
        """Replace the table by what is stored."""
        self.generation, self.entries = generation, dict(entries)
        self._lines = {key: signed_line(entry.to_json()) for key, entry in entries.items()}
        self._changed.clear()
        self._forget()

    def remember(self, generation: int, changes: Iterable[Change]) -> None:
        """Record what an earlier generation changed."""
        self._changed[generation] = frozenset(change.of for change in changes)
        while len(self._changed) > KEPT_GENERATIONS:
            self._changed.popitem(last=False)

    def advance(self, generation: int, changes: list[Change]) -> None:
        """Apply the changes of the next generation."""
        for change in changes:
            if change.after is None:
                self.entries.pop(change.of, None)
                self._lines.pop(change.of, None)
            else:
                self.entries[change.of] = change.after
                self._lines[change.of] = signed_line(change.after.to_json())
        self.generation = generation
        self.remember(generation, changes)
        self._forget()

    def _forget(self) -> None:
        self._table: ForwardingTable | None = None
        self._signature: bytes | None = None
        self._bodies: dict[tuple[int | None, bool], bytes] = {}

    def table(self) -> ForwardingTable:
        """Return the whole table as a value."""
        if self._table is None:
            vips = [entry for entry in self.entries.values() if isinstance(entry, Vip)]
            edges = [entry for entry in self.entries.values() if isinstance(entry, TableEdge)]
            sites = [entry for entry in self.entries.values() if isinstance(entry, Site)]
            self._table = ForwardingTable(
                self.generation,
                tuple(sorted(vips, key=lambda vip: vip.name)),
                tuple(sorted(edges, key=lambda edge: edge.id)),
                tuple(sorted(sites, key=lambda site: site.name)),
            )
        return self._table

    def body(self, since: int | None = None, *, with_seeds: bool = True) -> bytes:
        """Return the JSON of the whole, or of what changed since a generation if that is still known.

        Without the seeds of rings the signature cannot be verified: for readers that are no edges.
        """
        if self._signed_with is not (key := self._keys.current):
            self._signed_with = key
            self._forget()
        if since is not None and (since >= self.generation or since + 1 not in self._changed):
            since = None
        of = since, with_seeds
        if of not in self._bodies:
            self._bodies[of] = (
                self._whole(with_seeds)
                if since is None
                else self._delta(since, self._changed_since(since), with_seeds)
            )
        return self._bodies[of]

    def _changed_since(self, since: int) -> set[Key]:
        newer = (keys for generation, keys in self._changed.items() if generation > since)
        return set().union(*newer)

    def _site_line(self, key: Key, with_seeds: bool) -> bytes:
        entry = self.entries[key]
        if with_seeds or not isinstance(entry, Site):
            return self._lines[key]
        return signed_line(entry.to_json(with_seeds=False))

    def _whole(self, with_seeds: bool) -> bytes:
        sites = [
            self._site_line(key, with_seeds) for key in sorted(key for key in self._lines if key[0] == "site")
        ]
        return b'{"generation":%d,"vips":[%s],"edges":[%s],%s"signature":"%s"}' % (
            self.generation,
            b",".join(self._of("vip")),
            b",".join(self._of("edge")),
            b'"sites":[%s],' % b",".join(sites) if sites else b"",
            self._signed(),
        )

    def _delta(self, since: int, changed: set[Key], with_seeds: bool) -> bytes:
        ids = sorted((key for key in changed if key[0] == "edge"), key=lambda key: int(key[1]))
        removed = b",".join(key[1].encode() for key in ids if key not in self._lines)
        names = sorted(key for key in changed if key[0] == "site")
        sites = b",".join(self._site_line(key, with_seeds) for key in names if key in self._lines)
        gone = b",".join(b'"%s"' % key[1].encode() for key in names if key not in self._lines)
        about_sites = b'"sites":[%s],"removed_sites":[%s],' % (sites, gone) if names else b""
        whole = b'{"generation":%d,"since":%d,"vips":[%s],"edges":[%s],"removed":[%s],%s"signature":"%s"}'
        return whole % (
            self.generation,
            since,
            b",".join(self._of("vip")),
            b",".join(self._lines[key] for key in ids if key in self._lines),
            removed,
            about_sites,
            self._signed(),
        )

    def _of(self, kind: str) -> list[bytes]:
        keys = (key for key in self._lines if key[0] == kind)
        in_order = sorted(keys, key=(lambda key: int(key[1])) if kind == "edge" else (lambda key: key[1]))
        return [self._lines[key] for key in in_order]

    def _signed(self) -> bytes:
        if self._signature is None:
            whole = signed_bytes(self.generation, *(self._of(kind) for kind in ("vip", "edge", "site")))
            self._signature = base64.b64encode(self._signed_with.sign(whole))
        return self._signature
