"""`load` waits for interfaces that come late at boot."""

import time
from typing import Any

import pytest

from balancer.datapath.load import load
from balancer.datapath.load.interfaces import AttachedLink, InterfaceUnknown
from balancer.datapath.load.load import Interfaces, _await_interfaces
from balancer.model.reference.tunnel import Ends

OWN = Ends("10.255.0.1", None)


class LateHost:
    """An interface that appears at the third look, its address at the fourth."""

    looks = 0

    def find_link(self, kernel: object, name: str) -> AttachedLink:
        self.looks += name == "bb0"
        if self.looks < 3:
            raise InterfaceUnknown(f"there is no interface {name}")
        return AttachedLink(name, 7, 1500, False)

    def own_ends(self, kernel: object, backbone: AttachedLink, entry: object) -> Ends:
        if self.looks < 4:
            raise InterfaceUnknown("bb0 has no address: tunnels end there")
        return OWN


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> LateHost:
    late = LateHost()
    monkeypatch.setattr(load, "find_link", late.find_link)
    monkeypatch.setattr(load, "own_ends", late.own_ends)
    monkeypatch.setattr(load, "POLL_INTERVAL", 0.001)
    return late


def wait_on(host: LateHost, seconds: float) -> Any:
    kernel: Any = None
    return _await_interfaces(kernel, Interfaces(("up0",), "bb0"), None, time.monotonic() + seconds)


def test_what_comes_late_is_waited_for(host: LateHost) -> None:
    outside, backbone, own = wait_on(host, 60)
    assert ([link.name for link in outside], backbone.name, own) == (["up0"], "bb0", OWN)
    assert host.looks == 4


def test_what_never_comes_is_named(host: LateHost) -> None:
    with pytest.raises(InterfaceUnknown, match="there is no interface bb0"):
        wait_on(host, -1)
