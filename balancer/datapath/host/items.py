"""What the forwarder needs of the host, by item: each finds its deviation from the kernel's state, and repairs it."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from balancer.datapath.load.attach import EGRESS, OURS, attach, filter_names
from balancer.datapath.load.hooks import Hook
from balancer.datapath.load.host_settings import STRICT, read_sysctl, relax_rp_filter, rp_filter, set_sysctl
from balancer.datapath.load.interfaces import AttachedLink, interface_addresses
from balancer.datapath.load.reply_route import (
    FAMILIES,
    NOWHERE,
    TABLE,
    add_rule,
    has_neighbour,
    has_rule,
    set_neighbour,
    set_route,
)
from balancer.datapath.load.xdp import attached_xdp, detach_xdp
from balancer.datapath.load.xdp_features import can_transmit
from balancer.datapath.maps.layout import CONFIG, ID
from balancer.datapath.maps.pins import open_map, program_pin
from node.mark import MARK_TAG
from runtime.bpf.maps import Map, open_pinned

UNUSED_ADDRESS = {4: "240.0.0.1", 6: "100::1"}  # of no host: 240/4 (RFC 1112), the discard prefix (RFC 6666)


class HostItem(Protocol):
    """One wanted item. `hard`: while it deviates, this edge must not announce."""

    @property
    def name(self) -> str: ...

    @property
    def hard(self) -> bool: ...

    def find_deviation(self, kernel: IPRoute) -> str | None:
        """Return what was found instead; None if all is as wanted. Raises NetlinkError, OSError."""
        ...

    def repair(self, kernel: IPRoute) -> None:
        """Make it as wanted where this process may. Raises NetlinkError, OSError, `ForeignProgram`."""
        ...


@dataclass(frozen=True, slots=True)
class InterfaceItem:
    """An interface by name. Nothing can be attached while it is missing; the operator creates it."""

    interface: str
    link: AttachedLink | None
    hard: bool = False

    @property
    def name(self) -> str:
        return f"interface {self.interface}"

    def find_deviation(self, kernel: IPRoute) -> str | None:
        if self.link is None:
            return "missing"
        return None if self.link.up else "down"

    def repair(self, kernel: IPRoute) -> None:
        """Left to the operator's network configuration."""


@dataclass(frozen=True, slots=True)
class TunnelAddressItem:
    """This edge's tunnel endpoint on the backbone."""

    address: str
    backbone: AttachedLink
    hard: bool = False

    @property
    def name(self) -> str:
        return f"address {self.address} on {self.backbone.name}"

    def find_deviation(self, kernel: IPRoute) -> str | None:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        return None if self.address in interface_addresses(kernel, self.backbone.index, family) else "missing"

    def repair(self, kernel: IPRoute) -> None:
        """Left to the operator's network configuration."""


@dataclass(frozen=True, slots=True)
class SysctlItem:
    """A sysctl below net that must be 1."""

    path: str
    hard: bool = True

    @property
    def name(self) -> str:
        return "sysctl net." + self.path.replace("/", ".")

    def find_deviation(self, kernel: IPRoute) -> str | None:
        found = read_sysctl(self.path)
        return None if found == "1" else f"{found} instead of 1"

    def repair(self, kernel: IPRoute) -> None:
        if error := set_sysctl(self.path, "1"):
            raise error


@dataclass(frozen=True, slots=True)
class ReversePathItem:
    """The reverse path filter of an interface: off or loose, since paths are asymmetric."""

    interface: str
    hard: bool = True

    @property
    def name(self) -> str:
        return f"sysctl net.ipv4.conf.{self.interface}.rp_filter"

    def find_deviation(self, kernel: IPRoute) -> str | None:
        return "strict (1)" if rp_filter(self.interface) == STRICT else None

    def repair(self, kernel: IPRoute) -> None:
        for error in relax_rp_filter(self.interface).values():
            raise error


@dataclass(frozen=True, slots=True)
class ReplyRuleItem:
    """The rule that sends marked replies to the forwarder's table."""

    version: int
    hard: bool = True

    @property
    def name(self) -> str:
        return f"rule of marked IPv{self.version} replies"

    def find_deviation(self, kernel: IPRoute) -> str | None:
        return None if has_rule(kernel, self.version) else "missing"

    def repair(self, kernel: IPRoute) -> None:
        add_rule(kernel, self.version)


@dataclass(frozen=True, slots=True)
class ReplyNeighbourItem:
    """The permanent neighbour that the IPv6 route of marked replies leads to."""

    backbone: AttachedLink
    hard: bool = True

    @property
    def name(self) -> str:
        return f"neighbour {NOWHERE} on {self.backbone.name}"

    def find_deviation(self, kernel: IPRoute) -> str | None:
        return None if has_neighbour(kernel, self.backbone) else "missing"

    def repair(self, kernel: IPRoute) -> None:
        set_neighbour(kernel, self.backbone)


@dataclass(frozen=True, slots=True)
class ReplyRouteItem:
    """Where the kernel sends a marked reply: asked of the kernel, so that an overriding rule is found too."""

    version: int
    link: AttachedLink
    mtu: int
    hard: bool = True

    @property
    def name(self) -> str:
        return f"route of marked IPv{self.version} replies"

    def find_deviation(self, kernel: IPRoute) -> str | None:
        try:
            found: Any = next(
                iter(
                    kernel.route(
                        "get",
                        family=FAMILIES[self.version],
                        dst=UNUSED_ADDRESS[self.version],
                        mark=MARK_TAG | 1,
                    )
                )
            )
        except NetlinkError as error:
            return f"missing ({error})"
        if (index := found.get_attr("RTA_OIF")) != self.link.index:
            return f"leaves by interface {index} instead of {self.link.name} (table {TABLE})"
        metrics = found.get_attr("RTA_METRICS")
        mtu = metrics.get_attr("RTAX_MTU") if metrics else None
        return None if mtu == self.mtu else f"MTU {mtu} instead of {self.mtu}"

    def repair(self, kernel: IPRoute) -> None:
        set_route(kernel, self.version, self.link, self.mtu)


@dataclass(frozen=True, slots=True)
class HookItem:
    """A program at its tc hook."""

    hook: Hook
    bpffs: Path
    hard: bool = True

    @property
    def name(self) -> str:
        side = "egress" if self.hook.parent == EGRESS else "ingress"
        return f"program {self.hook.role} at {self.hook.link.name} {side}"

    def find_deviation(self, kernel: IPRoute) -> str | None:
        names = filter_names(kernel, self.hook.link.index, self.hook.parent)
        return None if OURS + self.hook.role in names else "not attached"

    def repair(self, kernel: IPRoute) -> None:
        program = open_pinned(program_pin(self.bpffs, self.hook.program))
        try:
            attach(kernel, self.hook.link.index, self.hook.parent, program, self.hook.role)
        finally:
            os.close(program)


@dataclass(frozen=True, slots=True)
class XdpItem:
    """The XDP program of an outside interface; without it tc forwards."""

    link: AttachedLink
    bpffs: Path
    hard: bool = False

    @property
    def name(self) -> str:
        return f"XDP program at {self.link.name}"

    def find_deviation(self, kernel: IPRoute) -> str | None:
        return (
            None if self.link.index in attached_xdp(self.bpffs) else "not attached: `sennit forwarder load`"
        )

    def repair(self, kernel: IPRoute) -> None:
        """Left to `load`, which decides whether XDP is of use."""


@dataclass(frozen=True, slots=True)
class XdpBackboneItem:
    """The backbone transmits what XDP redirects to it: where it does not, all of that is lost."""

    backbone: AttachedLink
    bpffs: Path
    hard: bool = True

    @property
    def name(self) -> str:
        return f"XDP transmission at {self.backbone.name}"

    def find_deviation(self, kernel: IPRoute) -> str | None:
        attached = attached_xdp(self.bpffs)
        if not attached or self.backbone.index in attached or can_transmit(self.backbone.index):
            return None
        return "the driver does not transmit: `sennit forwarder load`"

    def repair(self, kernel: IPRoute) -> None:
        """Leave forwarding to tc until the next `load`."""
        detach_xdp(self.bpffs)


@dataclass(frozen=True, slots=True)
class ConfigItem:
    """Interface numbers and backbone MTU, from which the programs derive MSS and "packet too big"."""

    bpffs: Path
    backbone: AttachedLink
    outside: tuple[AttachedLink, ...]
    hard: bool = True
    name: str = "interface numbers and MTU in the programs"

    def find_deviation(self, kernel: IPRoute) -> str | None:
        config, outsides = open_map(self.bpffs, "config_map"), open_map(self.bpffs, "outsides")
        try:
            found = CONFIG.unpack(config.get(ID.pack(0)) or bytes(CONFIG.size))[3:6]
            if found != self._wanted():
                return f"backbone, outside, MTU: {found} instead of {self._wanted()}"
            missing = [link.name for link in self.outside if outsides.get(ID.pack(link.index)) is None]
            return f"outside interfaces without {', '.join(missing)}" if missing else None
        finally:
            config.close()
            outsides.close()

    def repair(self, kernel: IPRoute) -> None:
        config, outsides = open_map(self.bpffs, "config_map"), open_map(self.bpffs, "outsides")
        try:
            values = list(CONFIG.unpack(config.get(ID.pack(0)) or bytes(CONFIG.size)))
            values[3:6] = self._wanted()
            config.put(ID.pack(0), CONFIG.pack(*values))
            replace_outsides(outsides, {ID.pack(link.index) for link in self.outside})
        finally:
            config.close()
            outsides.close()

    def _wanted(self) -> tuple[int, int, int]:
        return (
            self.backbone.index,
            self.outside[0].index if len(self.outside) == 1 else 0,
            self.backbone.mtu,
        )


def replace_outsides(outsides: Map, wanted: set[bytes]) -> None:
    """Make the map's keys the indices of the outside interfaces; an index may be another interface's now."""
    for key in set(outsides.keys()) - wanted:
        outsides.delete(key)
    outsides.put_all([(key, ID.pack(1)) for key in wanted])
