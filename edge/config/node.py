"""Who this node is: node.json in the state folder, written by the agent after enrolment."""

import asyncio
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smkex.core.errors import MalformedMessage
from smkex.core.wire.messages import LocatorKind
from smkex.transport.routes.target import Target

KINDS = {"port": LocatorKind.PORT, "address": LocatorKind.ADDRESS}


class NodeUnknown(Exception):
    """There is no usable node.json."""


@dataclass(frozen=True, slots=True)
class Vip:
    """The service address and how its locators are made; `v6` where it has one, for transport tcp."""

    v4: str
    service_port: int
    id_port_base: int
    v6: str | None = None
    locator: LocatorKind = LocatorKind.PORT


@dataclass(frozen=True, slots=True)
class Node:
    """This edge's id and name, and the VIP it serves."""

    edge_id: int
    name: str
    vip: Vip

    def locator(self, address: str) -> tuple[str, int]:
        """Where secondary subflows to this address of the VIP arrive. Raises `MalformedMessage` where nowhere."""
        vip = ipaddress.ip_address(address)
        where, port = Target(vip, self.vip.service_port, self.vip.id_port_base, self.vip.locator).locator(
            self.edge_id
        )
        return str(where), port


def parse(value: Any) -> Node:
    """Validate the content of node.json; raises `NodeUnknown` that names the field."""
    try:
        vip = value["vip"]
        if vip["locator"] not in KINDS:
            raise NodeUnknown(f"vip.locator: {vip['locator']} is not known here")
        node = Node(
            int(value["edge_id"]),
            str(value["name"]),
            Vip(
                str(ipaddress.IPv4Address(vip["v4"])),
                int(vip["service_port"]),
                int(vip["id_port_base"]),
                str(ipaddress.IPv6Address(vip["v6"])) if vip.get("v6") else None,
                KINDS[vip["locator"]],
            ),
        )
        for address in filter(None, (node.vip.v4, node.vip.v6)):
            node.locator(address)
    except KeyError as error:
        raise NodeUnknown(f"{error.args[0]}: missing") from None
    except MalformedMessage as error:
        raise NodeUnknown(f"edge_id: {error}") from None
    except (TypeError, ValueError) as error:
        raise NodeUnknown(str(error)) from None
    return node


async def wait_for_node(state: Path, timeout: float) -> Node:
    """Wait until the agent has enrolled this node. Raises `NodeUnknown` after `timeout` seconds."""
    path = state / "node.json"
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    return parse(json.loads(path.read_text()))
                except (FileNotFoundError, json.JSONDecodeError):
                    await asyncio.sleep(0.1)  # another process writes it: there is nothing to be told by
    except TimeoutError:
        raise NodeUnknown(f"{path} did not appear within {timeout:g} s: is `sennit agent` running?") from None
