"""node.json: who this node is and which VIP it serves, written by the agent after enrolment."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.state.catalogue import NODE
from node.state.state_file import StateFileInvalid
from node.vip import Vip, locator_addresses, vip_from_json

POLL_INTERVAL = 0.1  # seconds: another process writes the file and sends no notification


class NodeUnknown(Exception):
    """There is no usable node.json."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """This edge's id and name, and the VIP it serves."""

    edge_id: int
    name: str
    vip: Vip

    def locator_of(self, address: str) -> tuple[str, int]:
        """Return where secondary subflows to this address of the VIP arrive."""
        return self.vip.locator_of(address, self.edge_id)

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """The addresses of the VIP, and of this node's own locators."""
        return tuple(dict.fromkeys((*self.vip.addresses, *locator_addresses(self.vip, self.edge_id))))


def parse_identity(value: dict[str, Any]) -> NodeIdentity:
    """Validate the content of node.json; raises `NodeUnknown` that names the field."""
    try:
        vip = vip_from_json(value["vip"], allow_loopback=True)
        node = NodeIdentity(int(value["edge_id"]), str(value["name"]), vip)
        locator_addresses(node.vip, node.edge_id)
    except KeyError as error:
        raise NodeUnknown(f"{error.args[0]}: missing") from None
    except (TypeError, ValueError) as error:
        raise NodeUnknown(f"{NODE.name}: {error}") from None
    return node


def find_identity(state: Path) -> NodeIdentity | None:
    """Return who this node is; None before it has enrolled, or where the file is invalid."""
    value = NODE.find_object(state)
    try:
        return None if value is None else parse_identity(value)
    except NodeUnknown:
        return None


def write_identity(state: Path, node: NodeIdentity) -> None:
    """Write node.json; leave a file alone that already says so."""
    value = {"edge_id": node.edge_id, "name": node.name, "vip": node.vip.to_json()}
    if NODE.find_object(state) != value:
        NODE.write_object(state, value)


class _IdentityWait:
    """Poll for node.json until a deadline; both wait functions sleep between the polls."""

    def __init__(self, state: Path, seconds: float) -> None:
        self._state, self._seconds = state, seconds
        self._deadline = time.monotonic() + seconds

    def poll(self) -> NodeIdentity | None:
        """Return the node, or None: not yet. Raises `NodeUnknown`: invalid, or past the deadline."""
        try:
            return parse_identity(NODE.read_object(self._state))
        except (FileNotFoundError, StateFileInvalid):
            if time.monotonic() <= self._deadline:
                return None
        except OSError as error:
            raise NodeUnknown(str(error)) from None
        path = NODE.path_in(self._state)
        raise NodeUnknown(f"{path} did not appear within {self._seconds:g} s: is `sennit agent` running?")


def await_identity(state: Path, seconds: float) -> NodeIdentity:
    """Block until the agent has enrolled this node. Raises `NodeUnknown` after so many seconds."""
    wait = _IdentityWait(state, seconds)
    while (node := wait.poll()) is None:
        time.sleep(POLL_INTERVAL)
    return node


async def wait_for_identity(state: Path, seconds: float) -> NodeIdentity:
    """Wait until the agent has enrolled this node. Raises `NodeUnknown` after so many seconds."""
    wait = _IdentityWait(state, seconds)
    while (node := wait.poll()) is None:  # noqa: ASYNC110 (the writer is another process)
        await asyncio.sleep(POLL_INTERVAL)
    return node
