"""peer.key: the agent's own key (Ed25519), by which other edges' agents know its answers. It never leaves the node."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.state.catalogue import PEER_KEY


def read_peer_key(state: Path) -> Ed25519PrivateKey:
    """Return the key; raises OSError, and `StateFileInvalid` where it is damaged."""
    text = PEER_KEY.read_object(state).get("ed25519")
    try:
        if not isinstance(text, str):
            raise ValueError("ed25519: not a text")
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
    except ValueError as error:
        raise PEER_KEY.invalid(str(error)) from None


def write_peer_key(state: Path, key: Ed25519PrivateKey) -> None:
    """Keep the key."""
    PEER_KEY.write_object(state, {"ed25519": key.private_bytes_raw().hex()})


def own_peer_key(state: Path) -> Ed25519PrivateKey:
    """Return the node's key, made at the first call; raises `StateFileInvalid` where it is damaged."""
    try:
        return read_peer_key(state)
    except FileNotFoundError:
        key = Ed25519PrivateKey.generate()
        write_peer_key(state, key)
        return key
