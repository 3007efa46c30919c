"""A lab for each module of this folder, since what happens here is rough."""

import os
from collections.abc import Iterator

import pytest

from lab.namespace import bringup
from lab.namespace.place import Place
from lab.topology import LAB


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(f"sc{os.getpid()}", tmp_path_factory.mktemp("lab") / "state")
    try:
        bringup.up(made, LAB)
        yield made
    finally:
        bringup.down(made)
