"""Schema of the index of stored responses, an SQLite database that all workers of a node share.

Small bodies are stored in their row, large ones in a file. Triggers maintain `total`. `gone` is the change log: it
lists the keys that other workers evict from memory; a row whose `by` is NULL is an invalidation, which also keeps
running fetches of that key out of the index. A crash leaves the last complete transaction; an unreadable database is
replaced by an empty one.
"""

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger("edge.cache")

SCHEMA_VERSION = 1  # a database of another version is replaced
LOCK_TIMEOUT = 5.0  # seconds to wait for another worker's transaction, which takes milliseconds
LOCK_POLL_SECONDS = 0.01  # seconds between attempts to open the index while another worker holds the lock
CHECKPOINT_PAGES = 2000  # pages of 4 KB in the write-ahead log before it is copied back

_TABLES = """
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, variant TEXT NOT NULL, status INTEGER NOT NULL,
    headers TEXT NOT NULL, requested_at REAL NOT NULL, received_at REAL NOT NULL, size INTEGER NOT NULL,
    body BLOB, file TEXT, cost INTEGER NOT NULL, used REAL NOT NULL, UNIQUE (key, variant)
);
CREATE INDEX IF NOT EXISTS entry_used ON entry (used);
CREATE TABLE IF NOT EXISTS tag (tag TEXT, entry INTEGER, PRIMARY KEY (tag, entry)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tag_entry ON tag (entry);
CREATE TABLE IF NOT EXISTS gone (seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, by TEXT, at REAL);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO state VALUES ('total', 0), ('last_purge', 0);
CREATE TRIGGER IF NOT EXISTS entry_comes AFTER INSERT ON entry BEGIN
    UPDATE state SET value = value + NEW.cost WHERE name = 'total';
END;
CREATE TRIGGER IF NOT EXISTS entry_goes AFTER DELETE ON entry BEGIN
    UPDATE state SET value = value - OLD.cost WHERE name = 'total';
    DELETE FROM tag WHERE entry = OLD.id;
END;
"""


def open_index(path: Path) -> sqlite3.Connection:
    """Open the index, creating it if missing; replace an unreadable one by an empty one.

    Raises TimeoutError if another worker has held the lock for `BUSY` seconds.
    """
    with _exclusive_lock(path.parent):
        return _open_or_replace(path)


@contextlib.contextmanager
def _exclusive_lock(folder: Path) -> Iterator[None]:
    """Admit one worker at a time: SQLite does not wait during the change to WAL mode, and files may be replaced."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"another process has held the lock of {folder} for {LOCK_TIMEOUT:.0f} s"
                    ) from None
                time.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(lock)


def _open_or_replace(path: Path) -> sqlite3.Connection:
    try:
        return _open_database(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
            raise  # locked or not permitted: the content is not at fault
        log.warning("cache index unreadable, starting with an empty cache: %s: %s", path, error)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _open_database(path)


def _open_database(path: Path) -> sqlite3.Connection:
    # group access, like the folder: an edge may restart as another user. SQLite's other files inherit the mode
    path.touch(mode=0o660)
    with contextlib.suppress(PermissionError):
        path.chmod(0o660)
    index = sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        index.execute("PRAGMA journal_mode=WAL")
        index.execute("PRAGMA synchronous=NORMAL")
        index.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        layout = index.execute("PRAGMA user_version").fetchone()[0]
        if layout not in (0, SCHEMA_VERSION):
            raise sqlite3.DatabaseError(f"unknown schema version {layout}")
        index.execute("BEGIN IMMEDIATE")
        for statement in _split_statements(_TABLES):
            index.execute(statement)
        if "purged_at" not in {row[1] for row in index.execute("PRAGMA table_info(entry)")}:
            index.execute("ALTER TABLE entry ADD COLUMN purged_at REAL")  # when a soft purge made it stale
        index.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        index.execute("COMMIT")
    except BaseException:
        index.close()
        raise
    return index


def _split_statements(script: str) -> list[str]:
    """Split a script into statements as SQLite does: triggers contain semicolons."""
    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
