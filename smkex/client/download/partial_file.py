"""A download's partial file, and the note beside it for resuming: URL, ETag and total size."""

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_NOTE_LIMIT = 64 << 10  # bytes


class CannotWrite(Exception):
    """A local file cannot be written."""


class PartialFileBusy(CannotWrite):
    """Another process writes to the same partial file."""


@contextmanager
def reporting_write_errors(where: object) -> Iterator[None]:
    """Turn OSError into `CannotWrite`, except BrokenPipeError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite(f"cannot write {where}: {error.strerror}") from None


@contextmanager
def closing_file(file: BinaryIO) -> Iterator[None]:
    """Close `file` at the end; a failure to write what is buffered is `CannotWrite`, and hides no other error."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    with reporting_write_errors(file.name):
        file.close()


@dataclass(frozen=True, slots=True)
class PartialState:
    """`offset` bytes of the representation with `etag`, left by an earlier download."""

    offset: int
    etag: str
    total: int | None


class PartialFile:
    """TARGET.part until it is whole, then TARGET. The note TARGET.part.json exists while it can be continued.

    A symbolic link is followed, and a file that is replaced leaves its mode, as if it were written in place.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.target = target = Path(os.path.realpath(target)) if target.is_symlink() else target
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        self._url = url

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the partial file and lock it. Raises `CannotWrite`, `PartialFileBusy`."""
        with reporting_write_errors(self.path):
            file = self.path.open("ab")
        with closing_file(file):
            self._lock(file)
            try:
                yield file
            finally:
                with suppress(OSError):
                    file.flush()  # a small part counts too
                with reporting_write_errors(self.path):
                    self._discard_if_useless()

    def kept(self) -> PartialState | None:
        """Return what can be resumed; None without a valid note of this URL."""
        try:
            with self._note.open("rb") as file:
                note = json.loads(file.read(_NOTE_LIMIT))
            size = self.path.stat().st_size
            etag, total, url = note["etag"], note["total"], note["url"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        sane = isinstance(etag, str) and is_strong_etag(etag) and (total is None or isinstance(total, int))
        if not sane or url != self._url or size == 0 or (total is not None and size > total):
            return None
        return PartialState(size, etag, total)

    def begin(self, file: BinaryIO, etag: str, total: int | None) -> None:
        """Empty the file for a representation; only one with a strong ETag can be continued."""
        with reporting_write_errors(self.path):
            file.truncate(0)
            self._note.unlink(missing_ok=True)
            if is_strong_etag(etag):
                self._note.write_text(json.dumps({"url": self._url, "etag": etag, "total": total}))

    def complete(self) -> None:
        """Give the file its name; what was there is replaced."""
        with reporting_write_errors(self.target):
            with suppress(FileNotFoundError):
                self.path.chmod(stat.S_IMODE(self.target.stat().st_mode))
            os.replace(self.path, self.target)
        self._note.unlink(missing_ok=True)

    def _lock(self, file: BinaryIO) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = self._is(file)
        except BlockingIOError:
            ours = False
        if not ours:
            raise PartialFileBusy(f"another download writes to {self.path}")

    def _is(self, file: BinaryIO) -> bool:
        """Return whether the file still has its name: another process may have completed it between open and lock."""
        return self.path.exists() and os.path.samestat(os.fstat(file.fileno()), self.path.stat())

    def _discard_if_useless(self) -> None:
        if self.path.exists() and (not self._note.exists() or self.path.stat().st_size == 0):
            self.path.unlink()
            self._note.unlink(missing_ok=True)


def is_strong_etag(etag: str) -> bool:
    """Whether equal ETags mean equal bytes (RFC 9110 section 8.8.3), and it can stand in a header."""
    return len(etag) >= 2 and etag[0] == etag[-1] == '"' and etag.isascii() and etag.isprintable()
