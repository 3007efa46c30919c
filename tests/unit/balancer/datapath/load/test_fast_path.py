"""`load --xdp`: which interfaces are taken, and why not."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from balancer.datapath.load import fast_path
from balancer.datapath.load.attach import ForeignProgram
from balancer.datapath.load.fast_path import FastPath, Xdp, choose_fast_path, put_in_place
from balancer.datapath.load.host_settings import HostRefuses
from balancer.datapath.load.interfaces import AttachedLink

OUTSIDE, BACKBONE = AttachedLink("eth0", 2, 1500, raw=False), AttachedLink("eth1", 3, 1500, raw=False)
RECEIVES, SENDS, NOTHING = 3, 4, 0


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[int, int]]:
    """What the kernel says by index: features (absent: it does not say), and programs of others."""
    known: dict[str, dict[int, int]] = {"features": {2: RECEIVES, 3: RECEIVES}, "foreign": {}}
    monkeypatch.setattr(fast_path, "features_of", lambda index: known["features"].get(index))
    monkeypatch.setattr(fast_path, "foreign_xdp", lambda kernel, bpffs, index: known["foreign"].get(index))
    return known


def chosen(asked: Xdp, outside: AttachedLink = OUTSIDE, backbone: AttachedLink = BACKBONE) -> str:
    found = choose_fast_path(None, None, asked, (outside,), backbone)  # type: ignore[arg-type]
    return "native" if found.native else found.why_not


def test_drivers_that_receive_and_redirect_are_taken(host: dict[str, dict[int, int]]) -> None:
    assert chosen(Xdp.AUTO) == "native"


def test_off_is_off(host: dict[str, dict[int, int]]) -> None:
    assert chosen(Xdp.OFF) == "--xdp off"


def test_a_virtual_interface_is_left_to_tc_unless_asked(host: dict[str, dict[int, int]]) -> None:
    veth = AttachedLink("up0", 2, 1500, raw=False, kind="veth")
    assert "veth" in chosen(Xdp.AUTO, outside=veth)
    assert "veth" in chosen(Xdp.AUTO, backbone=veth)
    assert chosen(Xdp.NATIVE, outside=veth) == "native"


def test_a_driver_without_xdp_is_left_to_tc(host: dict[str, dict[int, int]]) -> None:
    host["features"][2] = NOTHING
    assert "eth0" in chosen(Xdp.AUTO)


def test_a_kernel_that_does_not_say_is_taken_for_one_that_cannot_unless_asked(
    host: dict[str, dict[int, int]],
) -> None:
    host["features"].clear()
    assert "6.3" in chosen(Xdp.AUTO)
    assert chosen(Xdp.NATIVE) == "native"


def test_a_foreign_program_is_never_replaced(host: dict[str, dict[int, int]]) -> None:
    host["foreign"][3] = 77
    assert "eth1 has an XDP program of another owner (id 77)" in chosen(Xdp.AUTO)
    with pytest.raises(ForeignProgram, match="id 77"):
        chosen(Xdp.NATIVE)


def test_an_interface_without_ethernet_has_no_fast_path(host: dict[str, dict[int, int]]) -> None:
    tunnel = AttachedLink("wg0", 3, 1420, raw=True, kind="wireguard")
    assert "no Ethernet header" in chosen(Xdp.AUTO, backbone=tunnel)
    with pytest.raises(HostRefuses, match="no Ethernet header"):
        chosen(Xdp.NATIVE, backbone=tunnel)


@pytest.mark.parametrize("sends_alone", [False, True])
def test_loads_after_the_first_attach_what_the_first_did(
    host: dict[str, dict[int, int]], monkeypatch: pytest.MonkeyPatch, sends_alone: bool
) -> None:
    """A driver that transmits because our program is attached (virtio_net) would stop when it is taken off."""
    attached: dict[int, int] = {}

    def features(index: int) -> int:
        return RECEIVES | (SENDS if sends_alone or index in attached else 0)

    def detach(_: Path, but: tuple[int, ...] = ()) -> None:
        for index in [one for one in attached if one not in but]:
            del attached[index]

    monkeypatch.setattr(fast_path, "features_of", features)
    monkeypatch.setattr(fast_path, "can_transmit", lambda index: bool(features(index) & SENDS))
    monkeypatch.setattr(fast_path, "attached_xdp", lambda _: attached)
    monkeypatch.setattr(fast_path, "attach_xdp", lambda _, index, program: attached.update({index: program}))
    monkeypatch.setattr(fast_path, "detach_xdp", detach)
    wanted = {OUTSIDE.index} if sends_alone else {OUTSIDE.index, BACKBONE.index}
    for number in range(3):
        loaded = SimpleNamespace(programs={"outside_xdp": 10 * number, "backbone_xdp": 10 * number + 1})
        done = put_in_place(Path(), Xdp.NATIVE, FastPath(True), loaded, (OUTSIDE,), BACKBONE)  # type: ignore[arg-type]
        assert done.native
        assert attached.keys() == wanted
        assert attached[OUTSIDE.index] == 10 * number
