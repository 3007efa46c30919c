"""Map a URL path to a file below the directory, with validators (RFC 9110 section 8.8)."""

import mimetypes
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from smkex.http.semantics.dates import format_http_date

INDEX = "index.html"
CODINGS = {"gzip": "gzip", "br": "br", "compress": "compress"}  # content codings by the suffix of a name
SHOWN_DOT_NAMES = frozenset({".well-known"})  # RFC 8615; every other name with a leading dot is hidden


@dataclass(frozen=True, slots=True)
class ServedFile:
    """An open file to serve; `path` is the one it was resolved to. The caller of `find_file` closes `descriptor`."""

    descriptor: int
    path: str
    size: int
    etag: str
    modified: float
    media_type: str
    coding: str | None

    @property
    def last_modified(self) -> str:
        return format_http_date(self.modified)


def find_file(directory: Path, raw_path: bytes) -> ServedFile | bytes | None:
    """Open the regular file that `raw_path` names, or return the path to redirect to; None if there is none.

    A path that ends with a slash names the index page of a directory; a directory without the slash is redirected. The
    resolved path must be below the directory, so neither ".." nor a link leads out, and must have no hidden part.
    """
    name = unquote_to_bytes(raw_path.lstrip(b"/"))
    if b"\0" in name or _is_hidden(os.fsdecode(name).split("/")):
        return None
    root = directory.resolve()
    wants_directory = not name or name.endswith(b"/")
    try:
        path = (root / os.fsdecode(name)).resolve(strict=True)
        if not path.is_relative_to(root):
            return None
        if path.is_dir():
            index = (path / INDEX).resolve(strict=True)
            if not wants_directory:
                return b"/" + raw_path.lstrip(b"/") + b"/"
            path = index
        elif wants_directory:
            return None
        return _open_below(root, path)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        return None


def _open_below(root: Path, path: Path) -> ServedFile | None:
    if not path.is_relative_to(root) or _is_hidden(path.relative_to(root).parts):
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        return None
    # strong: inode, size and time in nanoseconds change with every replaced or rewritten file
    etag = f'"{about.st_ino:x}-{about.st_size:x}-{about.st_mtime_ns:x}"'
    media_type, coding = mimetypes.guess_type(path.name)
    return ServedFile(
        descriptor,
        f"/{path.relative_to(root)}",
        about.st_size,
        etag,
        float(int(about.st_mtime)),
        media_type or "application/octet-stream",
        CODINGS.get(coding or ""),
    )


def _is_hidden(parts: list[str] | tuple[str, ...]) -> bool:
    return any(
        part.startswith(".") and part not in (".", "..") and part not in SHOWN_DOT_NAMES for part in parts
    )
