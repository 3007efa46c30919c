"""Let a person edit a text in the editor of their choice."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from runtime.errors import CommandError, ExitStatus


def edit_text(text: str, suffix: str) -> str:
    """Open $VISUAL or $EDITOR on a private file with the text, and return what it was saved as."""
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not chosen:
        raise CommandError("no editor", hint="set EDITOR, or give --file FILE", status=ExitStatus.USAGE)
    with tempfile.TemporaryDirectory(prefix="sennit-") as folder:  # readable by its owner only
        path = Path(folder) / f"document{suffix}"
        path.write_text(text)
        try:
            status = subprocess.run([*shlex.split(chosen), path], check=False).returncode
        except (OSError, ValueError) as error:
            raise CommandError(f"{chosen}: {error}", hint="set EDITOR to an editor") from None
        if status != 0:
            raise CommandError(f"{chosen} ended with status {status}: nothing is stored")
        return path.read_text()
