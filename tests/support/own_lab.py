"""A namespace lab beside a user's, for as long as a test or a module of tests wants it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lab.namespace import bringup
from lab.namespace.place import LabFolder
from lab.topology import LAB


@contextlib.contextmanager
def own_lab(prefix: str, folder: Path) -> Iterator[LabFolder]:
    """Bring a lab up under `folder`; its name is `prefix`, of two letters, and this process's id."""
    made = LabFolder(f"{prefix}{os.getpid()}", folder / "state")
    try:
        bringup.bring_up(made, LAB)
        yield made
    finally:
        bringup.tear_down(made)
