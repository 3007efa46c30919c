"""The node's state folder, as far as the agent writes and reads it. Every file is replaced whole or not at all."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balancer.api.health import DrainPhase
from balancer.api.schemas import AdminState
from balancer.model.place import locator_addresses
from balancer.model.table import ForwardingTable, vip_from_json
from balancer.model.table_file import TableFile
from runtime.files import replace_json, replace_text


@dataclass(frozen=True, slots=True)
class Credential:
    """What this node proves itself with; the id is None until the control plane has answered."""

    token: str
    edge_id: int | None = None

    def __repr__(self) -> str:
        return f"Credential(edge_id={self.edge_id})"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator wants of this edge, and since when (wall time: it outlives a restart of the host).

    `rehomed_after`: of a drain, so many seconds later its sessions had left the service port, or had had their time.
    """

    admin_state: AdminState = AdminState.ACTIVE
    since: float = 0.0
    rehomed_after: float | None = None


class NodeState:
    """The folder's files as values."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._table_file = TableFile(folder / "table.json")

    def credential(self) -> Credential | None:
        """Read the credential; ValueError where the file is damaged, for a new one would be another edge."""
        value = self._read("credential.json")
        if value is None:
            return None
        if not isinstance(value.get("token"), str) or not isinstance(value.get("edge_id"), int | None):
            raise ValueError("credential.json: token or edge_id is missing")
        return Credential(value["token"], value["edge_id"])

    def keep_credential(self, credential: Credential) -> None:
        self._write("credential.json", {"edge_id": credential.edge_id, "token": credential.token}, 0o600)

    def vip_addresses(self) -> tuple[str, ...]:
        """The addresses of the VIP that this node serves, and of its own locators; none before it has enrolled."""
        node = self._read_or_none("node.json") or {}
        try:
            vip = vip_from_json(node["vip"])
            own = tuple(filter(None, (vip.v4, vip.v6)))
            return tuple(dict.fromkeys((*own, *locator_addresses(vip, int(node["edge_id"])))))
        except (KeyError, TypeError, ValueError):
            return ()

    def keep_node(self, node: dict[str, Any]) -> None:
        if self._read_or_none("node.json") != node:
            self._write("node.json", node)

    def table_key(self) -> bytes | None:
        """Read the public key that tables are signed with."""
        value = (self._read_or_none("table.key") or {}).get("ed25519")
        try:
            return bytes.fromhex(value) if isinstance(value, str) else None
        except ValueError:
            return None

    def keep_table_key(self, key: bytes) -> None:
        """Keep the first one that is told; ValueError where it is another later, for that may be a forger's."""
        known = self.table_key()
        if known is not None and known != key:
            raise ValueError(
                "the control plane's table key is another than when this node enrolled: where that is right, "
                "remove table.key from the state folder"
            )
        if known is None:
            self._write("table.key", {"ed25519": key.hex()})

    def table(self) -> ForwardingTable | None:
        """Read the last table; None where there is none or it is damaged (a new one will be asked for)."""
        value = self._read_or_none("table.json")
        try:
            return ForwardingTable.from_json(value) if value else None
        except ValueError:
            return None

    def table_generation(self) -> int | None:
        """The generation of the last table."""
        table = self._table_file.read()
        return table.generation if table else None

    def table_json(self) -> dict[str, Any] | None:
        """Read the last table as it came, with what newer control planes add; None where it is no table."""
        return self._read_or_none("table.json") if self.table() else None

    def keep_table(self, table: dict[str, Any]) -> None:
        self._write("table.json", table)

    def note_contact(self) -> None:
        """The control plane has just said what the newest table is: the forwarder may believe the one it has."""
        (self.folder / "contact").touch()

    def purges(self) -> list[dict[str, Any]]:
        """Read the purges that the edge was handed; none where the file is missing or damaged."""
        kept = (self._read_or_none("purges.json") or {}).get("purges")
        if not isinstance(kept, list) or not all(isinstance(each.get("id"), int) for each in kept):
            return []
        return kept

    def keep_purges(self, purges: list[dict[str, Any]]) -> None:
        self._write("purges.json", {"purges": purges})

    def keep_fast_open_keys(self, keys: Sequence[str]) -> None:
        """Hand the edge the fleet's keys, newest first, a line each; nothing is written where they are there."""
        path, text = self.folder / "fast-open.keys", "".join(f"{key}\n" for key in keys)
        if not path.exists() or path.read_text() != text:
            replace_text(path, text, durable=True)

    def applied_generation(self) -> int | None:
        """Read what the forwarder has applied; None where it has not."""
        generation = (self._read_or_none("applied.json") or {}).get("generation")
        return generation if isinstance(generation, int) and generation >= 0 else None

    def wish(self) -> Wish:
        """Read what the operator last wanted of this edge: it holds while the control plane is away."""
        value = self._read_or_none("agent.json") or {}
        try:
            rehomed = value.get("rehomed_after")
            return Wish(
                AdminState(value.get("admin_state", "active")),
                float(value.get("since", 0.0)),
                None if rehomed is None else float(rehomed),
            )
        except (TypeError, ValueError):
            return Wish()

    def keep_wish(self, wanted: AdminState) -> None:
        """Keep what is wanted, and since when: a drain goes on where it was when the agent starts again."""
        if self.wish().admin_state is not wanted:
            fresh = {"since": time.time(), "drain": None, "rehomed_after": None}
            self._write("agent.json", {"admin_state": wanted.value, **fresh})

    def keep_drain(self, phase: DrainPhase | None, rehomed_after: float | None = None) -> None:
        """Tell the edge, and the agent's next start, how far the drain has come."""
        value = self._read_or_none("agent.json")
        told = {"drain": phase.value if phase else None, "rehomed_after": rehomed_after}
        if value is not None and value | told != value:
            self._write("agent.json", value | told)

    def _read_or_none(self, name: str) -> dict[str, Any] | None:
        try:
            return self._read(name)
        except ValueError:
            return None

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            value = json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if not isinstance(value, dict):
            raise ValueError(f"{name}: not a JSON object")
        return value

    def _write(self, name: str, value: dict[str, Any], mode: int = 0o640) -> None:
        replace_json(self.folder / name, value, mode, durable=True)
