"""Map a URL path to a file below the directory, with validators (RFC 9110 section 8.8)."""

import mimetypes
import os
import stat
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote_to_bytes


@dataclass(frozen=True, slots=True)
class ServedFile:
    """An open file to serve. The caller of `open_below` closes `descriptor`."""

    descriptor: int
    size: int
    etag: str
    modified: float
    media_type: str

    @property
    def last_modified(self) -> str:
        return formatdate(self.modified, usegmt=True)


def open_below(directory: Path, raw_path: bytes) -> ServedFile | None:
    """Open the regular file that `raw_path` names; None if there is none.

    The resolved path must be below the directory, so neither ".." nor a link leads out. The ETag is strong: inode, size
    and modification time in nanoseconds change with every replaced or rewritten file.
    """
    name = unquote_to_bytes(raw_path.lstrip(b"/"))
    if b"\0" in name:
        return None
    root = directory.resolve()
    try:
        path = (root / os.fsdecode(name)).resolve(strict=True)
        if not path.is_relative_to(root):
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        return None
    etag = f'"{about.st_ino:x}-{about.st_size:x}-{about.st_mtime_ns:x}"'
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return ServedFile(descriptor, about.st_size, etag, float(int(about.st_mtime)), media_type)
