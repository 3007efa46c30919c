"""Choose whether to forward in XDP (`load --xdp`), and attach the programs.

`auto` uses XDP if the kernel reports (Linux 6.3) that the drivers receive and transmit in XDP, on physical or
paravirtual devices. Virtual interfaces forward faster in tc: with XDP at a veth's end, the other end cuts segments in
software, and checksums that it left to be completed are lost with a redirect (measured).
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pyroute2 import IPRoute

from balancer.datapath.load.attach import ForeignProgram
from balancer.datapath.load.host_settings import HostRefuses
from balancer.datapath.load.interfaces import AttachedLink
from balancer.datapath.load.loaded import Loaded
from balancer.datapath.load.xdp import attach_xdp, attached_xdp, detach_xdp, foreign_xdp
from balancer.datapath.load.xdp_features import RECEIVES, can_transmit, features_of


class Xdp(StrEnum):
    """Modes of `load --xdp`."""

    AUTO = "auto"
    NATIVE = "native"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class FastPath:
    """Whether XDP forwards, and why not."""

    native: bool
    why_not: str = ""


def choose_fast_path(
    kernel: IPRoute, bpffs: Path, asked: Xdp, outside: tuple[AttachedLink, ...], backbone: AttachedLink
) -> FastPath:
    """Decide before anything is changed. Raises `ForeignProgram`, `HostRefuses` if `native` is impossible."""
    if asked is Xdp.OFF:
        return FastPath(False, "--xdp off")
    for link in (*outside, backbone):
        if foreign := foreign_xdp(kernel, bpffs, link.index):
            why = f"{link.name} has an XDP program of another owner (id {foreign})"
            if asked is Xdp.NATIVE:
                raise ForeignProgram(f"{why}: remove it first, or --xdp off")
            return FastPath(False, why)
        if link.raw:
            if asked is Xdp.NATIVE:
                raise HostRefuses(f"{link.name} has no Ethernet header: --xdp off")
            return FastPath(False, f"{link.name} has no Ethernet header")
    return FastPath(True) if asked is Xdp.NATIVE else _automatic_choice(outside, backbone)


def _automatic_choice(outside: tuple[AttachedLink, ...], backbone: AttachedLink) -> FastPath:
    for link in (*outside, backbone):
        if link.kind:
            return FastPath(False, f"{link.name} is virtual ({link.kind}), where tc is faster")
        features = features_of(link.index)
        if features is None:
            return FastPath(False, "the kernel does not report XDP features of drivers (before Linux 6.3)")
        if features & RECEIVES != RECEIVES:
            return FastPath(False, f"the driver of {link.name} does not support native XDP with redirect")
    return FastPath(True)


def put_in_place(
    bpffs: Path,
    asked: Xdp,
    chosen: FastPath,
    loaded: Loaded,
    outside: tuple[AttachedLink, ...],
    backbone: AttachedLink,
) -> FastPath:
    """Attach the XDP programs if chosen, else detach those of an earlier `load`; return the outcome.

    Raises `HostRefuses` if `native` was asked for and the driver refuses; tc handles all packets then.
    """
    if not chosen.native:
        detach_xdp(bpffs)
        return chosen
    try:
        used = _attach(bpffs, loaded, outside, backbone)
    except OSError as error:
        return _without_xdp(bpffs, asked, f"a driver refuses XDP: {error.strerror}")
    if used is None:
        return _without_xdp(bpffs, asked, f"the driver of {backbone.name} cannot transmit redirected packets")
    detach_xdp(bpffs, but=used)
    return chosen


def _attach(
    bpffs: Path, loaded: Loaded, outside: tuple[AttachedLink, ...], backbone: AttachedLink
) -> tuple[int, ...] | None:
    """Return the indices of interfaces with a program; None if the backbone would drop redirected packets."""
    indices = [link.index for link in outside]
    # where our program is attached already, the driver may transmit because of it
    needs_program = backbone.index in attached_xdp(bpffs) or not can_transmit(backbone.index)
    if needs_program and backbone.index not in indices:
        attach_xdp(bpffs, backbone.index, loaded.programs["backbone_xdp"])
        indices.append(backbone.index)
    if features_of(backbone.index) is not None and not can_transmit(backbone.index):
        return None
    for link in outside:
        attach_xdp(bpffs, link.index, loaded.programs["outside_xdp"])
    return tuple(indices)


def _without_xdp(bpffs: Path, asked: Xdp, why: str) -> FastPath:
    detach_xdp(bpffs)
    if asked is Xdp.NATIVE:
        raise HostRefuses(f"{why} (tc is in place and forwards): --xdp auto or off")
    return FastPath(False, why)
