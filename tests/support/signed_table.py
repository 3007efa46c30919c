"""A forwarding table as an agent stores it, signed with a key of the tests."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancer.model.signature import sign
from balancer.model.table import ForwardingTable
from balancer.model.table_file import store_table
from node.state.table_key import pin_table_key, read_table_key

TABLE_SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def write_signed_table(state: Path, table: ForwardingTable) -> None:
    """Write table.json, and table.key where there is none."""
    if read_table_key(state) is None:
        pin_table_key(state, TABLE_SIGNER.public_key().public_bytes_raw())
    store_table(state, table.to_json(), sign(TABLE_SIGNER, table.to_json()))
