"""Where `sennit get` puts each URL: standard output, a named file, or one named as the URL's last part."""

import argparse
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from runtime.errors import CommandError, ExitStatus
from smkex.transport.routes.host_name import HostName, InvalidHostName


@dataclass(frozen=True, slots=True)
class DownloadJob:
    """One URL and its file; `output` is None for standard output."""

    url: str
    output: Path | None

    @property
    def resumable(self) -> bool:
        """Whether the output is a regular file: devices and pipes are neither replaced nor resumed."""
        return self.output is not None and (not self.output.exists() or self.output.is_file())


class TerminalOutput(io.RawIOBase):
    """Standard output on a terminal; refuses binary data."""

    name = "the terminal"

    def write(self, data: Any) -> int:
        if b"\0" in bytes(data):
            raise CommandError("binary data on a terminal", hint="-o FILE, or > FILE")
        return sys.stdout.buffer.write(data)

    def flush(self) -> None:
        sys.stdout.buffer.flush()


def standard_output() -> BinaryIO:
    return cast(BinaryIO, TerminalOutput()) if sys.stdout.isatty() else sys.stdout.buffer


def plan_jobs(options: argparse.Namespace) -> list[DownloadJob]:
    """Raises `CommandError` where flags contradict each other, or a URL is not smkex://HOST/PATH."""
    urls: list[str] = options.urls
    for url in urls:
        _check_url(url)
    if options.output == Path("-"):
        if options.resume or options.remote_name or options.output_dir is not None:
            raise _usage_error("-o - is standard output: it takes no -C, -O or --output-dir", "-o FILE")
        return [DownloadJob(url, None) for url in urls]
    if options.output and len(urls) > 1:
        raise _usage_error("-o is for one URL", "-O names each file as its URL does, --output-dir says where")
    if options.output and options.remote_name:
        raise _usage_error("-o and -O contradict each other", "")
    folder = options.output_dir
    if folder is not None and not folder.is_dir():
        raise _usage_error(f"--output-dir {folder}: no such folder", "make it first")
    if options.output:
        return [DownloadJob(urls[0], (folder or Path()) / options.output)]
    if options.remote_name or folder is not None:
        return [DownloadJob(url, (folder or Path()) / _file_name(url)) for url in urls]
    if options.resume:
        raise _usage_error("-C needs a file", "-o FILE or -O")
    return [DownloadJob(url, None) for url in urls]


def _file_name(url: str) -> str:
    """Return the last part of the path. Raises `CommandError` if it is not a valid file name."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    # a name from a URL must not leave the folder, be hidden, or hold control characters
    if not name or name.startswith(".") or "/" in name or not name.isprintable() or len(name.encode()) > 200:
        raise _usage_error(f"{url}: its last part is not a valid file name", "-o FILE names it")
    return name


def _usage_error(text: str, hint: str) -> CommandError:
    return CommandError(text, hint=hint, status=ExitStatus.USAGE)


def _check_url(url: str) -> None:
    """Raise `CommandError` for what is not smkex://HOST[:PORT]/PATH."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _usage_error(
            f"{url!r}: {error}", "smkex://HOST[:PORT]/PATH; IPv6 addresses in brackets"
        ) from None
    if parts.scheme != "smkex" or not parts.hostname:
        raise _usage_error(f"{url}: not smkex://HOST/PATH", "a session takes the place of http and https")
    if port == 0 or not url.isprintable() or " " in url:
        raise _usage_error(
            f"{url!r}: not a URL", "ports are 1 to 65535; encode spaces and control characters"
        )
    try:
        HostName.parse(parts.hostname)
    except InvalidHostName as error:
        raise _usage_error(f"{url}: {error}", InvalidHostName.hint) from None
