"""Where `sennit get` puts each URL: standard output, a named file, or one named as the URL's last part."""

import argparse
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from runtime.errors import CommandError, ExitStatus


@dataclass(frozen=True, slots=True)
class Job:
    """One URL and its file; `output` is None for standard output."""

    url: str
    output: Path | None

    @property
    def resumable(self) -> bool:
        """A device or pipe is written to, never replaced, nor continued."""
        return self.output is not None and (not self.output.exists() or self.output.is_file())


class Screen(io.RawIOBase):
    """Standard output where it is a terminal: what is not text would turn it upside down."""

    name = "the terminal"

    def write(self, data: Any) -> int:
        if b"\0" in bytes(data):
            raise CommandError(
                "this is not text, and standard output is a terminal", hint="-o FILE, or > FILE"
            )
        return sys.stdout.buffer.write(data)

    def flush(self) -> None:
        sys.stdout.buffer.flush()


def standard_output() -> BinaryIO:
    return cast(BinaryIO, Screen()) if sys.stdout.isatty() else sys.stdout.buffer


def jobs(options: argparse.Namespace) -> list[Job]:
    """Raises `CommandError` where flags contradict each other, or a URL is none of ours."""
    urls: list[str] = options.urls
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme != "smkex" or not parts.hostname:
            raise _usage(f"{url}: not smkex://HOST/PATH", "a session takes the place of http and https")
    if options.output and len(urls) > 1:
        raise _usage("-o is for one URL", "-O names each file as its URL does, --output-dir says where")
    if options.output and options.remote_name:
        raise _usage("-o and -O contradict each other", "")
    folder = options.output_dir
    if folder is not None and not folder.is_dir():
        raise _usage(f"--output-dir {folder}: no such folder", "make it first")
    if options.output:
        return [Job(urls[0], (folder or Path()) / options.output)]
    if options.remote_name or folder is not None:
        return [Job(url, (folder or Path()) / _name(url)) for url in urls]
    if options.resume:
        raise _usage("-C needs a file", "-o FILE or -O")
    return [Job(url, None) for url in urls]


def _name(url: str) -> str:
    """The last part of the path. Raises `CommandError` where it is no name for a file."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    # nothing of a URL leads out of the folder, hides, or moves the cursor
    if not name or name.startswith(".") or "/" in name or not name.isprintable() or len(name.encode()) > 200:
        raise _usage(f"{url}: its last part is no name for a file", "-o FILE names it")
    return name


def _usage(text: str, hint: str) -> CommandError:
    return CommandError(text, hint=hint, status=ExitStatus.USAGE)
