"""The node's state folder, as far as the agent writes and reads it. Every file is replaced whole or not at all."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balancer.model.table import ForwardingTable


@dataclass(frozen=True, slots=True)
class Credential:
    """What this node proves itself with; the id is None until the control plane has answered."""

    token: str
    edge_id: int | None = None

    def __repr__(self) -> str:
        return f"Credential(edge_id={self.edge_id})"


class NodeState:
    """The folder's files as values."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

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

    def keep_node(self, node: dict[str, Any]) -> None:
        if self._read_or_none("node.json") != node:
            self._write("node.json", node)

    def table(self) -> ForwardingTable | None:
        """Read the last table; None where there is none or it is damaged (a new one will be asked for)."""
        value = self._read_or_none("table.json")
        try:
            return ForwardingTable.from_json(value) if value else None
        except ValueError:
            return None

    def keep_table(self, table: ForwardingTable) -> None:
        self._write("table.json", table.to_json())

    def applied_generation(self) -> int | None:
        """Read what the forwarder has applied; None where it has not."""
        generation = (self._read_or_none("applied.json") or {}).get("generation")
        return generation if isinstance(generation, int) and generation >= 0 else None

    def admin_state(self) -> str:
        """Read what the operator last wanted of this edge: it holds while the control plane is away."""
        value = (self._read_or_none("agent.json") or {}).get("admin_state")
        return value if isinstance(value, str) else "active"

    def keep_admin_state(self, value: str) -> None:
        if self.admin_state() != value:
            self._write("agent.json", {"admin_state": value})

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
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                os.fchmod(file.fileno(), mode)
                json.dump(value, file)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self.folder / name)
        except BaseException:
            os.unlink(temporary)
            raise
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
