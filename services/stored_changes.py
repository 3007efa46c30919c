"""The newest generation in two files: services.json, the whole, and services-changes.json, what changed since.

Each worker of an edge reads every generation: it reads and parses what changed, and the whole only where the agent has
written it anew. The agent does so once the changes have grown to a share of it, so that both stay small against it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.fields import read_integer, read_sequence
from node.state.catalogue import SERVICES, SERVICES_CHANGES
from node.state.state_file import FileWatch
from node.state.table_key import verify_with_any
from services.published import LARGEST_NUMBER, PublishedService, ServiceGeneration
from services.published_file import ServiceLines, join_lines, read_whole, split_lines, store_services

CHANGES_PER_WHOLE = 16  # the changes have at most this part of the whole's bytes
ATTEMPTS = 5


class ServiceWriter:
    """Hands the edge generations; the agent's."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._whole: ServiceGeneration | None = None
        self._by_name: dict[str, PublishedService] = {}
        self._version: tuple[int, int] | None = None
        self._has_changes = False

    def is_stored(self) -> bool:
        """Return whether the files are there, valid or not."""
        changes = not self._has_changes or SERVICES_CHANGES.version_in(self._state) is not None
        return changes and SERVICES.version_in(self._state) is not None

    def store(self, services: ServiceGeneration) -> None:
        """Store a generation durably: after a crash of the host it is this one or one before."""
        if not self._store_changes(services):
            store_services(self._state, services)
            SERVICES_CHANGES.path_in(self._state).unlink(missing_ok=True)  # of the whole before: ignored
            self._whole, self._has_changes = services, False
            self._by_name = {each.name: each for each in services.services}
            self._version = SERVICES.version_in(self._state)

    def _store_changes(self, services: ServiceGeneration) -> bool:
        whole = self._whole
        if whole is None or self._version != SERVICES.version_in(self._state):
            return False
        changed = [each for each in services.services if self._by_name.get(each.name) != each]
        removed = sorted(self._by_name.keys() - {each.name for each in services.services})
        size = sum(len(each.line) for each in changed) + sum(map(len, removed))
        if size * CHANGES_PER_WHOLE > sum(len(each.line) for each in whole.services):
            return False
        names = json.dumps(removed, separators=(",", ":"))
        head = (
            f'{{"generation":{services.generation},"since":{whole.generation},"removed":{names},"services":['
        )
        SERVICES_CHANGES.write_text(self._state, join_lines(head, changed, services.signature))
        self._has_changes = True
        return True


@dataclass(frozen=True, slots=True)
class _Changes:
    """What the file of changes says."""

    generation: int
    since: int
    removed: frozenset[str]
    lines: ServiceLines


@dataclass
class ServiceReader:
    """Reads generations, each of whose lines is parsed once."""

    state: Path
    _whole: ServiceGeneration | None = None
    _version: tuple[int, int] | None = None
    _known: dict[bytes, PublishedService] = field(default_factory=dict)
    _watches: tuple[FileWatch, ...] = ()

    def __post_init__(self) -> None:
        self._watches = tuple(FileWatch(file, self.state) for file in (SERVICES, SERVICES_CHANGES))

    def has_changed(self) -> bool:
        """Return whether a file was replaced since the last look."""
        changed = [watch.has_changed() for watch in self._watches]  # each remembers what it has seen
        return any(changed)

    def look_again(self) -> None:
        """Report the present files as changed at the next look."""
        for watch in self._watches:
            watch.forget_version()

    def read(self, keys: Sequence[bytes]) -> ServiceGeneration:
        """Return the generation, verified with one of the public keys.

        Raises OSError, `StateFileInvalid`, and `ForgedServices` where it is not signed.
        """
        for _ in range(ATTEMPTS):  # the whole may be replaced before the changes are read
            whole = self._read_whole()
            changes = self._read_changes()
            if SERVICES.version_in(self.state) == self._version:
                break
        read = whole
        if changes is not None and changes.since == whole.generation:
            removed, found = changes.removed, changes.lines.services
            read = whole.apply_changes(changes.generation, found, removed, changes.lines.signature)
        verify_with_any(keys, read.verify)
        return read

    def _read_whole(self) -> ServiceGeneration:
        version = SERVICES.version_in(self.state)
        if self._whole is None or version != self._version:
            known = {each.line: each for each in self._whole.services} if self._whole else {}
            self._whole, self._version = read_whole(self.state, known | self._known), version
        return self._whole

    def _read_changes(self) -> _Changes | None:
        try:
            text = SERVICES_CHANGES.read_text(self.state)
        except FileNotFoundError:
            self._known = {}
            return None
        try:
            lines = split_lines(text, self._known)
            removed = frozenset(map(str, read_sequence(lines.meta, "removed")))
            generation, since = (
                read_integer(lines.meta, name, 0, LARGEST_NUMBER) for name in ("generation", "since")
            )
        except (ValueError, RecursionError) as error:
            raise SERVICES_CHANGES.invalid(str(error)) from None
        self._known = {each.line: each for each in lines.services}
        return _Changes(generation, since, removed, lines)


def read_services(state: Path, keys: Sequence[bytes]) -> ServiceGeneration:
    """Return the newest generation, as `ServiceReader.read`."""
    return ServiceReader(state).read(keys)
