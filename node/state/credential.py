"""credential.json and table.key: what this node proves itself with, and the key that signs its tables."""

from dataclasses import dataclass
from pathlib import Path

from node.state.catalogue import CREDENTIAL, TABLE_KEY


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


def read_table_key(state: Path) -> bytes | None:
    """Return the public key that tables are signed with; None where it is missing or damaged."""
    value = (TABLE_KEY.find_object(state) or {}).get("ed25519")
    try:
        return bytes.fromhex(value) if isinstance(value, str) else None
    except ValueError:
        return None


def pin_table_key(state: Path, key: bytes) -> None:
    """Keep the first key that is seen; raises ValueError where another was kept before."""
    known = read_table_key(state)
    if known is not None and known != key:
        raise ValueError(
            "the control plane's table key differs from the one of this node's enrolment: if the change is "
            f"intended, remove {TABLE_KEY.name} from the state folder"
        )
    if known is None:
        TABLE_KEY.write_object(state, {"ed25519": key.hex()})
