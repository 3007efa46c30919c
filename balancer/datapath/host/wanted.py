"""The wanted state of the host, computed anew at each check: interfaces may have been recreated or resized."""

from pathlib import Path

from pyroute2 import IPRoute

from balancer.datapath.host.items import (
    ConfigItem,
    HookItem,
    HostItem,
    InterfaceItem,
    ReplyNeighbourItem,
    ReplyRouteItem,
    ReplyRuleItem,
    ReversePathItem,
    SysctlItem,
    TunnelAddressItem,
    XdpBackboneItem,
    XdpItem,
)
from balancer.datapath.load.hooks import list_hooks
from balancer.datapath.load.host_settings import required_sysctls
from balancer.datapath.load.install import ForwarderInstall
from balancer.datapath.load.interfaces import AttachedLink, InterfaceUnknown, find_link
from balancer.datapath.load.reply_route import LOOPBACK


def wanted_items(kernel: IPRoute, bpffs: Path, install: ForwarderInstall, overhead: int) -> list[HostItem]:
    """List what must hold, in the order of repair; of a missing interface only its absence is reported.

    `overhead`: size of the largest outer header in bytes.
    """
    links = {name: _find_if_present(kernel, name) for name in (LOOPBACK, *install.interfaces)}
    items: list[HostItem] = [InterfaceItem(name, links[name]) for name in install.interfaces]
    items += _sysctl_items(install, links)
    loopback, backbone = links[LOOPBACK], links[install.backbone]
    outside = tuple(link for name in install.outside if (link := links[name]))
    if loopback is None or backbone is None:
        return items
    items += [
        TunnelAddressItem(text, backbone) for text in (install.own.v4, install.own.v6) if text is not None
    ]
    items += [ConfigItem(bpffs, backbone, outside)]
    items += [HookItem(hook, bpffs) for hook in list_hooks(outside, backbone, loopback)]
    items += _reply_items(install, loopback, backbone, overhead)
    if not install.no_xdp:
        items += [XdpBackboneItem(backbone, bpffs), *(XdpItem(link, bpffs) for link in outside)]
    return items


def _sysctl_items(install: ForwarderInstall, links: dict[str, AttachedLink | None]) -> list[HostItem]:
    present = [name for name in install.interfaces if links[name]]
    v6 = install.vip.v6 is not None
    paths = required_sysctls(install.backbone, v6=v6 and install.backbone in present)
    return [*map(SysctlItem, paths), *map(ReversePathItem, present)]


def _reply_items(
    install: ForwarderInstall, loopback: AttachedLink, backbone: AttachedLink, overhead: int
) -> list[HostItem]:
    """The kernel keeps no IPv6 neighbour or route of an interface that is down: they are wanted when it is up."""
    mtu = backbone.mtu - overhead
    items: list[HostItem] = [ReplyRuleItem(4), ReplyRouteItem(4, loopback, mtu)]
    if install.vip.v6 is None:
        return items
    items.append(ReplyRuleItem(6))
    if backbone.up:
        items += [] if backbone.raw else [ReplyNeighbourItem(backbone)]
        items.append(ReplyRouteItem(6, backbone, mtu))
    return items


def _find_if_present(kernel: IPRoute, name: str) -> AttachedLink | None:
    try:
        return find_link(kernel, name)
    except InterfaceUnknown:
        return None
