"""credential.json: what this node proves itself with."""

from dataclasses import dataclass
from pathlib import Path

from node.state.catalogue import CREDENTIAL


@dataclass(frozen=True, slots=True)
class Credential:
    """What this node proves itself with; the id is None until the control plane has answered."""

    token: str
    edge_id: int | None = None

    def __repr__(self) -> str:
        return f"Credential(edge_id={self.edge_id})"


def read_credential(state: Path) -> Credential | None:
    """Return the credential; raises `StateFileInvalid` where it is damaged: a new one would be another edge."""
    try:
        value = CREDENTIAL.read_object(state)
    except FileNotFoundError:
        return None
    if not isinstance(value.get("token"), str) or not isinstance(value.get("edge_id"), int | None):
        raise CREDENTIAL.invalid("token or edge_id is missing")
    return Credential(value["token"], value["edge_id"])


def write_credential(state: Path, credential: Credential) -> None:
    """Keep the credential."""
    CREDENTIAL.write_object(state, {"edge_id": credential.edge_id, "token": credential.token})
