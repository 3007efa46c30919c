"""What is wanted of the host, for each kind of node."""

from pathlib import Path
from typing import Any

import pytest

from balancer.datapath.host import items, wanted
from balancer.datapath.host.reconciler import inspect_item
from balancer.datapath.load.install import ForwarderInstall
from balancer.datapath.load.interfaces import AttachedLink, InterfaceUnknown
from balancer.model.reference.tunnel import Ends
from node.vip import Vip

V4 = Vip("main", "203.0.113.1", None)
DUAL = Vip("main", "203.0.113.1", "2001:db8:5e::1")
LINKS = {
    name: AttachedLink(name, index, 1500, False)
    for index, name in enumerate(("lo", "eth0", "eth1", "bb0"), 1)
}


def names(
    monkeypatch: pytest.MonkeyPatch, vip: Vip, links: dict[str, AttachedLink], no_xdp: str = "off"
) -> dict[str, bool]:
    """Return the wanted items' names, and whether they are hard."""

    def find_link(kernel: Any, name: str) -> AttachedLink:
        if name not in links:
            raise InterfaceUnknown(name)
        return links[name]

    monkeypatch.setattr(wanted, "find_link", find_link)
    install = ForwarderInstall(1, ("eth0", "eth1"), "bb0", Ends("10.255.0.1", None), vip, no_xdp=no_xdp)
    kernel: Any = None
    return {item.name: item.hard for item in wanted.wanted_items(kernel, Path("/bpf"), install, 20)}


def test_everything_that_separates_paths_is_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    found = names(monkeypatch, DUAL, LINKS)
    separating = {
        "sysctl net.ipv4.tcp_fwmark_accept",
        "rule of marked IPv4 replies",
        "route of marked IPv4 replies",
        "rule of marked IPv6 replies",
        "route of marked IPv6 replies",
        "neighbour fe80::5e on bb0",
        "program owner_egress at lo egress",
        "program owner_egress at bb0 egress",
        "program owner_egress at eth0 egress",
        "program owner_egress at eth1 egress",
    }
    assert separating <= {name for name, hard in found.items() if hard}


def test_no_ipv6_is_wanted_for_an_ipv4_vip(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [
        name for name in names(monkeypatch, V4, LINKS) if "IPv6" in name or "ipv6" in name or "fe80" in name
    ]


def test_of_a_missing_interface_only_its_absence_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    without = {name: link for name, link in LINKS.items() if name != "eth1"}
    found = names(monkeypatch, V4, without)
    assert [name for name in found if "eth1" in name] == ["interface eth1"]
    assert "program outside_ingress at eth0 ingress" in found


@pytest.mark.parametrize(("no_xdp", "wanted_hard"), [("off", []), ("", [True, False, False])])
def test_xdp_is_wanted_where_load_chose_it(
    monkeypatch: pytest.MonkeyPatch, no_xdp: str, wanted_hard: list[bool]
) -> None:
    """Packets are lost where the backbone does not transmit; without the outside's programs tc forwards."""
    found = names(monkeypatch, V4, LINKS, no_xdp)
    assert [hard for name, hard in found.items() if name.startswith("XDP")] == wanted_hard


@pytest.mark.parametrize(
    ("attached", "transmits", "fails"),
    [({}, False, False), ({2: 1}, True, False), ({2: 1, 4: 1}, False, False), ({2: 1}, False, True)],
)
def test_a_backbone_that_no_longer_transmits_leaves_forwarding_to_tc(
    monkeypatch: pytest.MonkeyPatch, attached: dict[int, int], transmits: bool, fails: bool
) -> None:
    kernel: Any = None
    monkeypatch.setattr(items, "attached_xdp", lambda _: attached)
    monkeypatch.setattr(items, "can_transmit", lambda index: transmits and index == 4)
    monkeypatch.setattr(items, "detach_xdp", lambda _: attached.clear())
    item = items.XdpBackboneItem(LINKS["bb0"], Path("/bpf"))
    assert (item.find_deviation(kernel) is not None) == fails
    if fails:
        item.repair(kernel)
        assert (attached, item.find_deviation(kernel)) == ({}, None)


def test_a_state_that_cannot_be_read_deviates() -> None:
    class Unreadable:
        name, hard = "item", True

        def find_deviation(self, kernel: Any) -> str | None:
            raise PermissionError(1, "Operation not permitted")

        def repair(self, kernel: Any) -> None:
            raise AssertionError("not called")

    kernel: Any = None
    assert inspect_item(kernel, Unreadable()) == "cannot be read: [Errno 1] Operation not permitted"
