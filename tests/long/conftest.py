"""A lab for each module of this folder, since what happens here is rough."""

from collections.abc import Iterator

import pytest
from own_lab import own_lab
from two_hosts import cable, hosts

from lab.namespace.place import LabFolder

__all__ = ["cable", "hosts", "place"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFolder]:
    with own_lab("sc", tmp_path_factory.mktemp("lab")) as made:
        yield made
