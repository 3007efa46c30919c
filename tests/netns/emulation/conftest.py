"""Two hosts and a cable between them."""

import os
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from lab.emulation.namespace import SlowLink
from lab.namespace.bringup import down
from lab.namespace.network import build
from lab.namespace.place import Place
from lab.topology import End, Link, Node, Topology

CABLE = Link(
    End("one", "eth0", IPv4Interface("10.9.0.1/24")), End("other", "eth0", IPv4Interface("10.9.0.2/24"))
)
TWO_HOSTS = Topology((Node("one"), Node("other")), (CABLE,), (), ())


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(f"se{os.getpid()}", tmp_path_factory.mktemp("emulation") / "state")
    place.folder.mkdir()
    try:
        build(place, TWO_HOSTS)
        yield place
    finally:
        down(place)


@pytest.fixture
def cable(hosts: Place) -> Iterator[SlowLink]:
    link = SlowLink(hosts, TWO_HOSTS, CABLE)
    try:
        yield link
    finally:
        link.clear()


@pytest.fixture
def one(hosts: Place) -> Path:
    return hosts.namespace_file("one")


@pytest.fixture
def other(hosts: Place) -> Path:
    return hosts.namespace_file("other")
