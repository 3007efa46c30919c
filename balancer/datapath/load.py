"""`sennit forwarder load`: compile, load, attach, pin, and leave; the programs go on in the kernel."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from balancer.datapath.attach import EGRESS, INGRESS, attach, detach, refuse_foreign
from balancer.datapath.bpf import Map
from balancer.datapath.compile import compile_and_load
from balancer.datapath.follow import apply, read_table
from balancer.datapath.host import HostRefuses, prepare
from balancer.datapath.layout import CONFIG, EDGE, ID, ForwarderConfig
from balancer.datapath.pins import mount_bpffs, pin_all, unpin_all
from balancer.datapath.route import LOOPBACK, route_replies, unroute_replies
from balancer.model.table import Locator, Vip, vip_from_json

POLL = 0.1  # seconds between looks for node.json


class NodeUnknown(Exception):
    """The agent has not enrolled this node, or an interface is not there."""


@dataclass(frozen=True, slots=True)
class Interfaces:
    """Names of the interface to the world and of that to the other edges."""

    outside: str
    backbone: str


def load(state: Path, bpffs: Path, interfaces: Interfaces, node_timeout: float) -> ForwarderConfig:
    """Bring the datapath up on this node, with the table of the state folder if there is one; return its configuration.

    Nothing is touched where it cannot be attached, and packets meet the old programs or the new ones, never none.

    Raises `NodeUnknown`, `compile.CompileFailed`, `host.HostRefuses`, `attach.ForeignProgram`, OSError.
    """
    edge_id, vip = _wait_for_node(state, node_timeout)
    with IPRoute() as kernel:
        config = _configure(kernel, interfaces, edge_id, vip)
        loopback = int(_link(kernel, LOOPBACK)["index"])
        hooks = (
            (loopback, EGRESS, "owner_egress"),
            (config.backbone_index, INGRESS, "tunnel_ingress"),
            (config.backbone_index, EGRESS, "owner_egress"),
            (config.outside_index, EGRESS, "owner_egress"),
            (config.outside_index, INGRESS, "outside_ingress"),
        )
        for index, parent, _ in hooks:
            refuse_foreign(kernel, index, parent)
        prepare((interfaces.outside, interfaces.backbone))
        mount_bpffs(bpffs)
        loaded = compile_and_load()
        Map(loaded.maps["config_map"], ID.size, CONFIG.size).put(ID.pack(0), config.pack())
        try:
            table = read_table(state)
        except ValueError as error:
            raise NodeUnknown(f"{state / 'table.json'}: {error}") from None
        if table is not None:
            edges = Map(loaded.maps["edges"], ID.size, EDGE.size)
            apply(table, edges, Map(loaded.maps["tunnels"], ID.size, ID.size))
        pin_all(bpffs, loaded.maps)
        (state / "forwarder.json").write_text(
            json.dumps({"outside": interfaces.outside, "backbone": interfaces.backbone, "loopback": LOOPBACK})
        )
        try:
            for index, parent, program in hooks:
                attach(kernel, index, parent, loaded.programs[program], program)
            route_replies(kernel, loopback, config.backbone_mtu)
        except NetlinkError as error:
            raise HostRefuses(f"tc refuses to attach: {error}") from None
    return config


def unload(state: Path, bpffs: Path) -> bool:
    """Remove filters and pins; whether there were any."""
    removed = False
    try:
        names = json.loads((state / "forwarder.json").read_text())
    except FileNotFoundError:
        names = {}
    with IPRoute() as kernel:
        if LOOPBACK in names.values():
            unroute_replies(kernel, kernel.link_lookup(ifname=LOOPBACK)[0])
        for name in names.values():
            for index in kernel.link_lookup(ifname=name):
                removed |= detach(kernel, index)
    unpin_all(bpffs)
    (state / "forwarder.json").unlink(missing_ok=True)
    return removed


def _wait_for_node(state: Path, timeout: float) -> tuple[int, Vip]:
    path = state / "node.json"
    deadline = time.monotonic() + timeout
    while True:
        try:
            node = json.loads(path.read_text())
            return int(node["edge_id"]), vip_from_json(node["vip"])
        except (FileNotFoundError, json.JSONDecodeError):
            if time.monotonic() > deadline:
                raise NodeUnknown(
                    f"{path} did not appear within {timeout:g} s: is the agent running?"
                ) from None
            time.sleep(POLL)
        except (KeyError, TypeError, ValueError) as error:
            raise NodeUnknown(f"{path}: {error}") from None


def _configure(kernel: IPRoute, interfaces: Interfaces, edge_id: int, vip: Vip) -> ForwarderConfig:
    if vip.v4 is None:
        raise NodeUnknown(f"VIP {vip.name} has no IPv4 address")
    if vip.locator is not Locator.PORT:
        raise NodeUnknown(f"VIP {vip.name} has address locators: this forwarder knows port locators only")
    outside, backbone = _link(kernel, interfaces.outside), _link(kernel, interfaces.backbone)
    addresses = [
        message.get_attr("IFA_ADDRESS") for message in kernel.get_addr(family=2, index=backbone["index"])
    ]
    if not addresses:
        raise NodeUnknown(f"{interfaces.backbone} has no IPv4 address: tunnels end there")
    return ForwarderConfig(
        vip.v4,
        addresses[0],
        edge_id,
        backbone["index"],
        outside["index"],
        vip.service_port,
        vip.id_port_base,
        backbone.get_attr("IFLA_MTU"),
    )


def _link(kernel: IPRoute, name: str) -> Any:
    found = kernel.link_lookup(ifname=name)
    if not found:
        raise NodeUnknown(f"there is no interface {name}")
    return kernel.get_links(found[0])[0]
