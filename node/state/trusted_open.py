"""Open a file that another user may have prepared: only a regular file, only of an owner that is trusted."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# without O_NONBLOCK the open of a FIFO would wait
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotTrusted(ValueError):
    """The file, or its folder, is of another kind or another owner than its writer gives it."""


@contextlib.contextmanager
def open_trusted(path: Path, owners: frozenset[int] | None) -> Iterator[BinaryIO]:
    """Open `path` for reading; raises OSError, `NotTrusted`.

    With `owners`, file and folder must belong to one of these user ids and be writable by no other. What is checked is
    what is open: a file that is replaced meanwhile makes no difference.
    """
    folder = os.open(path.parent, _FOLDER)
    try:
        _require_owner(folder, owners, f"folder {path.parent.name}")
        descriptor = os.open(path.name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotTrusted("not a regular file")
        _require_owner(descriptor, owners, "file")
        yield file


def _require_owner(descriptor: int, owners: frozenset[int] | None, what: str) -> None:
    status = os.fstat(descriptor)
    if owners is None:
        return
    if status.st_uid not in owners:
        raise NotTrusted(f"{what} is owned by user id {status.st_uid}, not by its writer")
    if status.st_mode & WRITABLE_BY_OTHERS:
        raise NotTrusted(f"{what} is writable by others (mode {stat.S_IMODE(status.st_mode):04o})")
