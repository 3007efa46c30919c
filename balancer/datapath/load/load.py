"""`sennit forwarder load`: load, attach, pin, and exit; the programs stay in the kernel."""

import contextlib
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from balancer.datapath.load.attach import attach, detach, refuse_foreign
from balancer.datapath.load.fast_path import Xdp, choose_fast_path, put_in_place
from balancer.datapath.load.form import choose_form, load_programs
from balancer.datapath.load.hooks import list_hooks
from balancer.datapath.load.host_settings import HostRefuses, prepare_host
from balancer.datapath.load.install import ForwarderInstall, NotInstalled
from balancer.datapath.load.interfaces import AttachedLink, InterfaceUnknown, find_link, own_ends
from balancer.datapath.load.loaded import Loaded, ProgramForm
from balancer.datapath.load.lock import lock_host
from balancer.datapath.load.reply_route import LOOPBACK, route_replies, unroute_replies
from balancer.datapath.load.xdp import detach_xdp
from balancer.datapath.maps.generation import OUTER, Generations, MapContent, map_content
from balancer.datapath.maps.layout import CONFIG, ID, Budgets, ForwarderConfig
from balancer.datapath.maps.live_words import Live
from balancer.datapath.maps.pins import SIZES, mount_bpffs, pin_all, unpin_all
from balancer.model.reference.tunnel import Ends
from balancer.model.table import Encapsulation, ForwardingTable, TableEdge
from balancer.model.table_file import load_table
from node.state.catalogue import FORWARDER_INSTALL, HOST_STATE, TABLE
from node.state.identity import NodeUnknown, await_identity
from runtime.bpf.maps import Map

POLL_INTERVAL = 0.2  # seconds between looks for a missing interface


@dataclass(frozen=True, slots=True)
class Interfaces:
    """Names of the interfaces towards clients, and of that towards other edges."""

    outside: tuple[str, ...]
    backbone: str


def load(
    state: Path,
    bpffs: Path,
    interfaces: Interfaces,
    node_timeout: float,
    encapsulation: Encapsulation | None = None,
    budgets: Budgets = Budgets(),
    xdp: Xdp = Xdp.AUTO,
    form: ProgramForm = ProgramForm.AUTO,
    given: Path | None = None,
) -> ForwarderInstall:
    """Load the datapath on this node with the state folder's table, if there is one; return the installation.

    Nothing is changed if a hook is occupied; packets meet the old programs or the new ones, never none.

    `given`: an object instead of the release's.

    Raises `NodeUnknown`, `InterfaceUnknown`, `loaded.ProgramsNotLoaded`, `host_settings.HostRefuses`,
    `attach.ForeignProgram`, OSError.
    """
    deadline = time.monotonic() + node_timeout
    path = choose_form(form, given)
    node = await_identity(state, node_timeout)
    edge_id, vip = node.edge_id, node.vip
    table = _table_at_load(state)
    with IPRoute() as kernel:
        outside, backbone, own = _await_interfaces(kernel, interfaces, table.edge(edge_id), deadline)
        loopback = find_link(kernel, LOOPBACK)
        placement = ForwarderInstall(
            edge_id,
            interfaces.outside,
            backbone.name,
            own,
            vip,
            encapsulation,
            form=ProgramForm.OBJECT if path else ProgramForm.SOURCE,
        )
        hooks = list_hooks(outside, backbone, loopback)
        for hook in hooks:
            refuse_foreign(kernel, hook.link.index, hook.parent)
        mount_bpffs(bpffs)
        fast = choose_fast_path(kernel, bpffs, xdp, outside, backbone)
        loaded = load_programs(path, raw=any(hook.link.raw for hook in hooks), fast=fast.native)
        new = map_content(table, edge_id, own, (vip,), encapsulation)
        config = _forwarder_config(placement, outside, backbone, budgets)
        _fill_maps(loaded, config, outside, new)
        with lock_host(state, wait=True):
            prepare_host(interfaces.outside, interfaces.backbone, v6=vip.v6 is not None)
            pin_all(bpffs, loaded.maps, {hook.program: loaded.programs[hook.program] for hook in hooks})
            placement.write_file(state)
            try:
                for hook in hooks:
                    attach(kernel, hook.link.index, hook.parent, loaded.programs[hook.program], hook.role)
                route_replies(kernel, loopback, backbone, new.overhead, v6=vip.v6 is not None)
            except NetlinkError as error:
                raise HostRefuses(f"tc refuses to attach: {error}") from None
            fast = put_in_place(bpffs, xdp, fast, loaded, outside, backbone)
            placement = replace(placement, no_xdp=fast.why_not)
            placement.write_file(state)
    return placement


def _await_interfaces(
    kernel: IPRoute, interfaces: Interfaces, entry: TableEdge | None, deadline: float
) -> tuple[tuple[AttachedLink, ...], AttachedLink, Ends]:
    """Find the interfaces and this edge's tunnel endpoints; at boot they may come late. Raises `InterfaceUnknown`."""
    while True:
        try:
            backbone = find_link(kernel, interfaces.backbone)
            outside = tuple(find_link(kernel, name) for name in interfaces.outside)
            return outside, backbone, own_ends(kernel, backbone, entry)
        except InterfaceUnknown:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_INTERVAL)


def unload(state: Path, bpffs: Path) -> bool:
    """Remove filters and pins; return whether there were any."""
    with lock_host(state, wait=True) if state.is_dir() else contextlib.nullcontext():
        return _unload_locked(state, bpffs)


def _unload_locked(state: Path, bpffs: Path) -> bool:
    try:
        names = ForwarderInstall.read(state).interfaces
    except NotInstalled:
        names = ()
    removed = detach_xdp(bpffs)
    with IPRoute() as kernel:
        if names:
            unroute_replies(kernel)
        for name in (*names, *((LOOPBACK,) if names else ())):
            for index in kernel.link_lookup(ifname=name):
                removed |= detach(kernel, index)
    unpin_all(bpffs)
    for file in (FORWARDER_INSTALL, HOST_STATE):
        file.path_in(state).unlink(missing_ok=True)
    return removed


def _forwarder_config(
    placement: ForwarderInstall, outside: tuple[AttachedLink, ...], backbone: AttachedLink, budgets: Budgets
) -> ForwarderConfig:
    return ForwarderConfig(
        placement.edge_id,
        placement.own,
        backbone.index,
        outside[0].index if len(outside) == 1 else 0,
        backbone.mtu,
        budgets,
        seed=secrets.randbits(32),
    )


def _fill_maps(
    loaded: Loaded, config: ForwarderConfig, outside: tuple[AttachedLink, ...], new: MapContent
) -> None:
    Map(loaded.maps["config_map"], ID.size, CONFIG.size).put(ID.pack(0), config.pack())
    outsides = Map(loaded.maps["outsides"], ID.size, ID.size)
    outsides.put_all([(ID.pack(link.index), ID.pack(1)) for link in outside])
    outer = {name: Map(loaded.maps[name], *SIZES[name]) for name in OUTER}
    Generations(outer, Live(Map(loaded.maps["live_map"], ID.size, 0))).activate(new)


def _table_at_load(state: Path) -> ForwardingTable:
    try:
        return load_table(state)
    except FileNotFoundError:
        return ForwardingTable(generation=0)
    except ValueError as error:
        raise NodeUnknown(f"{TABLE.path_in(state)}: {error}") from None
