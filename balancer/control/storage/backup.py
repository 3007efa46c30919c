"""Back up a state folder with SQLite while the control plane runs, and restore one: the database and the signing key.

With PostgreSQL the database is backed up by its own tools (pg_dump), and the key by copying it.
"""

import os
import sqlite3
import tarfile
import tempfile
from pathlib import Path

from balancer.control.storage.database import DATABASE, NEXT_SIGNING_KEY, SIGNING_KEY

RESTORED = "restored"  # counter of a restored database, until the control plane has begun a new epoch
MEMBERS = (DATABASE, SIGNING_KEY)
OPTIONAL = (NEXT_SIGNING_KEY,)  # during a rotation
MAXIMUM_MEMBER_BYTES = 4 << 30


class BackupError(Exception):
    """The backup or restore failed; nothing was changed."""


def save_backup(state: Path, target: Path) -> None:
    """Write an archive of the state folder as of one moment; raises `BackupError`."""
    if not (state / DATABASE).exists():
        raise BackupError(f"{state} has no {DATABASE}: with PostgreSQL, use pg_dump and copy {SIGNING_KEY}")
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BackupError(str(error)) from None
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder, os.fdopen(descriptor, "wb") as file:
            copy = Path(folder) / DATABASE
            with tarfile.open(fileobj=file, mode="w:gz") as archive:
                # the keys first: should a rotation end meanwhile, the database names the next one, which is here
                archive.add(state / SIGNING_KEY, SIGNING_KEY)
                for name in OPTIONAL:
                    if (state / name).exists():
                        archive.add(state / name, name)
                _copy_database(state / DATABASE, copy)
                archive.add(copy, DATABASE)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, sqlite3.Error) as error:
        target.unlink(missing_ok=True)
        raise BackupError(str(error)) from None


def _copy_database(source: Path, target: Path) -> None:
    """Copy with SQLite's backup API: everything committed at its end, while other connections write."""
    reading, writing = sqlite3.connect(f"file:{source}?mode=ro", uri=True), sqlite3.connect(target)
    try:
        reading.backup(writing)
        if writing.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise BackupError("the copy is damaged")
    finally:
        writing.close()
        reading.close()


def restore_backup(archive: Path, state: Path) -> None:
    """Make a state folder from an archive; never over one that has a database. Raises `BackupError`."""
    if (state / DATABASE).exists():
        raise BackupError(f"{state} has a database: give an empty folder, or move the database away")
    try:
        found = _read_archive(archive)
        state.mkdir(parents=True, exist_ok=True)
        for name in (*OPTIONAL, *reversed(MEMBERS)):  # the database last: if it exists, everything does
            if name in found:
                _write_file(
                    state / name, _mark_restored(found[name], state) if name == DATABASE else found[name]
                )
    except (OSError, tarfile.TarError, sqlite3.Error) as error:
        raise BackupError(f"{archive}: {error}") from None


def _mark_restored(database: bytes, state: Path) -> bytes:
    """Return the database with the mark that makes the control plane begin a new epoch."""
    with tempfile.TemporaryDirectory(dir=state) as folder:
        copy = Path(folder) / DATABASE
        copy.write_bytes(database)
        connection = sqlite3.connect(copy)
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
            with connection:
                connection.execute("INSERT OR REPLACE INTO counter (name, value) VALUES (?, 1)", (RESTORED,))
        finally:
            connection.close()
        return copy.read_bytes()


def _read_archive(archive: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as members:
        for name in (*MEMBERS, *OPTIONAL):
            try:
                member = members.getmember(name)
            except KeyError:
                if name in OPTIONAL:
                    continue
                raise BackupError(f"{archive}: {name} is missing in the archive") from None
            content = members.extractfile(member)
            if content is None or member.size > MAXIMUM_MEMBER_BYTES:
                raise BackupError(f"{archive}: {name} is not a file, or larger than 4 GiB")
            found[name] = content.read()
    return found


def _write_file(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
