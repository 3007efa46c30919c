"""The index of stored responses: an SQLite database that all workers of a node share.

Small bodies lie in their row, large ones in a file beside it. `total` is kept by triggers, never summed up. `gone`
tells the other workers which keys to forget in memory; a row whose `by` is NULL is an invalidation, which keeps out
of the index too what is on its way for that key. A crash leaves the last whole transaction; what SQLite cannot
read is thrown away, since it is a cache.
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

LAYOUT = 1  # a database of another layout is thrown away
BUSY = 5.0  # seconds to wait for another worker's transaction, which takes milliseconds
LOOK_EVERY = 0.01  # seconds between tries to open the index while another worker does
CHECKPOINT = 2000  # pages of 4 KB in the write-ahead log before it is copied back

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
    """Open the index, making it where there is none; an unreadable one is replaced by an empty one.

    Raises TimeoutError when another worker has been opening it for `BUSY` seconds.
    """
    with _alone(path.parent):
        return _open_or_replace(path)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One worker at a time: SQLite waits for nobody while it changes to a write-ahead log, and one replaces files."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + BUSY
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process has held {folder} for {BUSY:.0f} s") from None
                time.sleep(LOOK_EVERY)
        yield
    finally:
        os.close(lock)


def _open_or_replace(path: Path) -> sqlite3.Connection:
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
            raise  # locked, or the folder is not ours: nothing is wrong with the content
        log.warning("%s is not readable (%s): starting with an empty cache", path, error)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _open(path)


def _open(path: Path) -> sqlite3.Connection:
    # for the group too, as the folder is: an edge may start again as another user of it. SQLite's other files follow
    path.touch(mode=0o660)
    with contextlib.suppress(PermissionError):
        path.chmod(0o660)
    index = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        index.execute("PRAGMA journal_mode=WAL")
        index.execute("PRAGMA synchronous=NORMAL")
        index.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT}")
        layout = index.execute("PRAGMA user_version").fetchone()[0]
        if layout not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"layout {layout} is not known here")
        index.execute("BEGIN IMMEDIATE")
        for statement in _statements(_TABLES):
            index.execute(statement)
        index.execute(f"PRAGMA user_version={LAYOUT}")
        index.execute("COMMIT")
    except BaseException:
        index.close()
        raise
    return index


def _statements(script: str) -> list[str]:
    """Cut a script as SQLite does: a trigger holds semicolons of its own."""
    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
