"""Fixtures: networks of two edges or three with their forwarders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from forwarder_network import ForwarderNetwork


@pytest.fixture
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ForwarderNetwork]:
    """With the parameter "source" its edges compile their programs."""
    made = ForwarderNetwork(tmp_path, from_source=getattr(request, "param", "object") == "source")
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForwarderNetwork]:
    """With IPv6, a VIP with address locators, and a second uplink at edge 2; shared by the tests of a module."""
    made = ForwarderNetwork(tmp_path_factory.mktemp("dual"), dual=True)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForwarderNetwork]:
    """With a third edge, and a third link of the phone to it; shared by the tests of a module."""
    made = ForwarderNetwork(tmp_path_factory.mktemp("three"), count=3)
    try:
        made.up()
        yield made
    finally:
        made.down()
