"""Fixtures: two hosts and a cable between them."""

import os
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from lab.emulation.namespace import SlowLink
from lab.namespace.bringup import tear_down
from lab.namespace.network import build_network
from lab.namespace.place import LabFolder
from lab.topology import End, LabLink, LabNode, Topology

LETTERS = iter("abcdefgh")  # each folder that uses these fixtures has hosts of its own
CABLE = LabLink(
    End("one", "eth0", IPv4Interface("10.9.0.1/24")), End("other", "eth0", IPv4Interface("10.9.0.2/24"))
)
TWO_HOSTS = Topology((LabNode("one"), LabNode("other")), (CABLE,), (), ())


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFolder]:
    place = LabFolder(f"se{os.getpid()}{next(LETTERS)}", tmp_path_factory.mktemp("emulation") / "state")
    place.folder.mkdir()
    try:
        build_network(place, TWO_HOSTS)
        yield place
    finally:
        tear_down(place)


@pytest.fixture
def cable(hosts: LabFolder) -> Iterator[SlowLink]:
    link = SlowLink(hosts, TWO_HOSTS, CABLE)
    try:
        yield link
    finally:
        link.clear()


@pytest.fixture
def one(hosts: LabFolder) -> Path:
    return hosts.namespace_file("one")


@pytest.fixture
def other(hosts: LabFolder) -> Path:
    return hosts.namespace_file("other")
