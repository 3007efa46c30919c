"""A namespace lab beside a user's, for as long as a test or a module of tests wants it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lab.namespace import bringup
from lab.namespace.place import Place
from lab.topology import LAB


@contextlib.contextmanager
def own_lab(prefix: str, folder: Path) -> Iterator[Place]:
    """Bring a lab up under `folder`; its name is `prefix`, of two letters, and this process's id."""
    made = Place(f"{prefix}{os.getpid()}", folder / "state")
    try:
        bringup.up(made, LAB)
        yield made
    finally:
        bringup.down(made)
