"""Write secrets to new files readable by their owner only."""

import os
from pathlib import Path

from runtime.errors import CommandError


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file with mode 0600. Raises `CommandError`, also where it exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except FileExistsError:
        raise CommandError(f"{path} exists", hint="a key is never replaced: choose another name") from None
    except OSError as error:
        raise CommandError(str(error)) from None


def read_file(path: Path) -> bytes:
    """Read a file. Raises `CommandError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(str(error)) from None
