"""Replace files atomically."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def replace_json(path: Path, value: Any, mode: int = 0o640, *, durable: bool = False) -> None:
    """Write `value` as JSON, as `replace_text` does."""
    replace_text(path, json.dumps(value), mode, durable=durable)


def replace_text(path: Path, text: str, mode: int = 0o640, *, durable: bool = False) -> None:
    """Replace the file atomically; with `durable` the new content survives a crash of the host."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
