"""The key by which tests sign releases, of this process alone."""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

_FOLDER = tempfile.TemporaryDirectory(prefix="sennit-release-key-")


def make_key(file: Path, kind: str = "ed25519") -> str:
    """Make a key for releases, and return its public line."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", file.name, "-f", file], check=True)
    return file.with_name(f"{file.name}.pub").read_text().strip()


@functools.cache
def public_line() -> str:
    """Return what an inventory has in sennit_release_signers."""
    return make_key(Path(_FOLDER.name) / "key")


def signing_environment() -> dict[str, str]:
    """Return the environment in which releases are signed."""
    public_line()
    return {**os.environ, "SENNIT_RELEASE_KEY": str(Path(_FOLDER.name) / "key")}
