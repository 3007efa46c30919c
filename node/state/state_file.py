"""One file of the state folder: its place, its writer, its readers, and how it is read and replaced."""

import json
import os
import pwd
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from node.state.strict_json import parse_strictly
from node.state.trusted_open import NotTrusted, open_trusted
from runtime.files import replace_text

USER_PREFIX = "sennit-"  # packaging/systemd/sysusers.conf makes a user for each daemon
FOLDER_MODE = 0o750  # as packaging/systemd/tmpfiles.conf
SIZE_LIMIT = 64 * 1024 * 1024  # bytes: the table of 55,535 edges takes 9 MB


class Daemon(StrEnum):
    """The programs of a node that share the state folder."""

    AGENT = "agent"
    EDGE = "edge"
    FORWARDER = "forwarder"
    PROBE = "probe"


@cache
def trusted_owners(writer: Daemon) -> frozenset[int] | None:
    """Return the user ids whose files are believed: the writer's user, root, and this process's own user.

    None where the host has no user for each daemon, as in a container: then nothing separates them.
    """
    try:
        user = pwd.getpwnam(f"{USER_PREFIX}{writer.value}").pw_uid
    except KeyError:
        return None
    return frozenset((user, 0, os.geteuid()))


class StateFileInvalid(ValueError):
    """A file of the state folder has another form than its writer gives it; the text names file and field."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """A file by name, with its only writer. `durable`: it is synced to disk before it replaces the old one.

    `only_reader`: it holds secrets for this daemon, and lies in a folder that the writer's other readers cannot enter.
    """

    name: str
    writer: Daemon
    readers: tuple[Daemon, ...]
    mode: int = 0o640
    durable: bool = False
    only_reader: Daemon | None = None

    @property
    def folder(self) -> str:
        """Name of the folder: the writer's, or that of writer and only reader, such as `agent-edge`."""
        return "-".join(daemon.value for daemon in (self.writer, self.only_reader) if daemon is not None)

    def path_in(self, state: Path) -> Path:
        """Return where the file is."""
        return state / self.folder / self.name

    def create_folder(self, state: Path) -> None:
        """Create the file's folder where the host's setup has not: in labs and tests."""
        self.path_in(state).parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)

    def version_in(self, state: Path) -> tuple[int, int] | None:
        """Return what changes whenever the file is replaced; None where there is no file."""
        try:
            status = self.path_in(state).lstat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def read_text(self, state: Path) -> str:
        """Return the content; raises OSError, `StateFileInvalid`.

        Links, other kinds of files and files of another owner than the writer are refused.
        """
        try:
            with open_trusted(self.path_in(state), trusted_owners(self.writer)) as file:
                content = file.read(SIZE_LIMIT + 1)
        except NotTrusted as error:
            raise self.invalid(str(error)) from None
        if len(content) > SIZE_LIMIT:
            raise self.invalid(f"more than {SIZE_LIMIT} bytes")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise self.invalid(str(error)) from None

    def read_object(self, state: Path) -> dict[str, Any]:
        """Return the JSON object that is the content; raises OSError, `StateFileInvalid`."""
        try:
            value = parse_strictly(self.read_text(state))
        except StateFileInvalid:
            raise
        except (ValueError, RecursionError) as error:
            raise self.invalid(str(error)) from None
        if not isinstance(value, dict):
            raise self.invalid("not a JSON object")
        return value

    def find_object(self, state: Path) -> dict[str, Any] | None:
        """As `read_object`; None where the file is missing or invalid."""
        try:
            return self.read_object(state)
        except (OSError, StateFileInvalid):
            return None

    def write_text(self, state: Path, text: str) -> None:
        """Replace the file whole."""
        self.create_folder(state)
        replace_text(self.path_in(state), text, self.mode, durable=self.durable)

    def write_object(self, state: Path, value: dict[str, Any]) -> None:
        """Replace the file with a JSON object."""
        self.write_text(state, json.dumps(value))

    def invalid(self, why: str) -> StateFileInvalid:
        """Return the error that names this file."""
        return StateFileInvalid(f"{self.name}: {why}")


class FileWatch:
    """Whether a file was replaced since the last look: readers poll, since writers send no notification."""

    def __init__(self, file: StateFile, state: Path) -> None:
        self._file, self._state = file, state
        self._seen: tuple[int, int] | None = None

    def has_changed(self) -> bool:
        """Return whether there is a version that was not seen yet, and remember it."""
        version = self._file.version_in(self._state)
        changed = version is not None and version != self._seen
        self._seen = version
        return changed

    def forget_version(self) -> None:
        """Report the present version as changed at the next look."""
        self._seen = None
