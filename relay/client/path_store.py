"""The paths that this host is to have: one file each, with the configuration that the relay gave, mode 0600."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from node.fields import read_integer, require_mapping
from node.state.strict_json import parse_strictly
from relay.configuration import SIZE_LIMIT, PathConfiguration, parse_interface_name
from runtime.files import replace_text

DEFAULT_FOLDER = Path("/var/lib/sennit-path")
VERSION = 1
PATH_LIMIT = 64


class PathRefused(Exception):
    """A path cannot be stored, set up or removed; `hint` is what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class StoredPath:
    """A path by the name of its interface; `underlay` None is the first interface with a default route.

    `slot` is the number of its routing table among those of all paths.
    """

    name: str
    slot: int
    underlay: str | None
    configuration: PathConfiguration

    def as_fields(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "slot": self.slot,
            "underlay": self.underlay,
            "configuration": self.configuration.as_fields(),
        }

    @classmethod
    def from_fields(cls, name: str, value: Any) -> Self:
        """Raises ValueError that names the field."""
        fields = require_mapping(value, "document")
        read_integer(fields, "version", VERSION, VERSION)
        slot = read_integer(fields, "slot", 0, PATH_LIMIT - 1)
        underlay = fields.get("underlay")
        if underlay is not None:
            underlay = parse_interface_name(underlay)
        return cls(name, slot, underlay, PathConfiguration.from_fields(fields.get("configuration")))


class PathStore:
    """The folder of stored paths. Files belong to the folder's owner. All methods raise `PathRefused`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, made if need be, against other commands and the daemon."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read_paths(self) -> dict[str, StoredPath]:
        """Return all paths by name."""
        try:
            files = sorted(self._folder.glob("*.json"))
            found = {file.stem: _read_path(file) for file in files[:PATH_LIMIT]}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from None
        if not found and self._folder.exists() and not os.access(self._folder, os.R_OK | os.X_OK):
            raise self._unusable(PermissionError(13, "Permission denied"))
        return found

    def add(self, name: str, underlay: str | None, configuration: PathConfiguration) -> StoredPath:
        """Store a new path; the caller holds the lock."""
        stored = self.read_paths()
        if name in stored:
            raise PathRefused(f"there is a path {name}", f"`sennit path remove {name}` first")
        if len(stored) >= PATH_LIMIT:
            raise PathRefused(f"{len(stored)} paths, the limit", "`sennit path remove` some")
        for other in stored.values():
            if other.configuration.private_key == configuration.private_key:
                raise PathRefused(
                    f"path {other.name} has this configuration",
                    "a configuration is for one path: get another",
                )
        taken = {path.slot for path in stored.values()}
        slot = next(number for number in range(PATH_LIMIT) if number not in taken)
        path = StoredPath(name, slot, underlay, configuration)
        text = json.dumps(path.as_fields(), indent=1, sort_keys=True) + "\n"
        file = self._folder / f"{name}.json"
        try:
            replace_text(file, text, 0o600, durable=True)
            owner = self._folder.stat()
            if os.geteuid() == 0:  # the daemon has a user of its own
                os.chown(file, owner.st_uid, owner.st_gid)
        except OSError as error:
            raise self._unusable(error) from None
        return path

    def remove(self, name: str) -> None:
        """Forget a path; the caller holds the lock."""
        try:
            (self._folder / f"{name}.json").unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> PathRefused:
        hint = "run as root" if isinstance(error, PermissionError) else ""
        return PathRefused(f"{self._folder}: {error.strerror or error}", hint)


def _read_path(file: Path) -> StoredPath:
    with file.open("rb") as opened:
        content = opened.read(SIZE_LIMIT + 1)
    try:
        if len(content) > SIZE_LIMIT:
            raise ValueError(f"more than {SIZE_LIMIT} bytes")
        return StoredPath.from_fields(parse_interface_name(file.stem), parse_strictly(content.decode()))
    except (ValueError, RecursionError) as error:
        hint = f"remove the file, then `sennit path add {file.stem}` with a new configuration"
        raise PathRefused(f"{file}: {error}", hint) from None
