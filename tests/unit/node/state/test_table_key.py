"""Each daemon verifies the table itself, with the key that root placed before the one that the agent pinned."""

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from signed_table import TABLE_SIGNER, write_signed_table

from balancer.datapath.load.load import _table_at_load
from balancer.model.signature import Forged, sign
from balancer.model.table import ForwardingTable, TableEdge
from balancer.model.table_file import TableFile, load_table, store_table
from node.state import table_key
from node.state.catalogue import TABLE, TABLE_KEY
from node.state.identity import NodeUnknown
from node.state.state_file import StateFileInvalid
from node.state.table_key import (
    TABLE_KEY_VARIABLE,
    TableKeyUnknown,
    encode_key,
    pin_table_key,
    trusted_table_keys,
)

GENUINE = TABLE_SIGNER.public_key().public_bytes_raw()
FORGER = Ed25519PrivateKey.generate()
TABLE_1 = ForwardingTable(1, (), (TableEdge(1, "edge1", "10.255.0.1", None),))
FORGED = ForwardingTable(2, (), (TableEdge(1, "edge1", "192.0.2.66", None),))


@pytest.fixture
def placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of root, here of this user."""
    path = tmp_path / "etc" / "table.key"
    path.parent.mkdir(mode=0o755)
    path.write_text(json.dumps(encode_key(GENUINE)))
    path.chmod(0o644)
    monkeypatch.setenv(TABLE_KEY_VARIABLE, str(path))
    monkeypatch.setattr(table_key, "ROOT", os.geteuid())
    return path


def forge_table(state: Path) -> None:
    """As an agent that was taken over: its own key pinned, and a table that it signs."""
    TABLE_KEY.write_object(state, encode_key(FORGER.public_key().public_bytes_raw()))
    store_table(state, FORGED.to_json(), sign(FORGER, FORGED.to_json()))


def test_a_table_is_believed_by_the_pinned_key(tmp_path: Path) -> None:
    write_signed_table(tmp_path, TABLE_1)
    assert load_table(tmp_path) == TABLE_1


@pytest.mark.parametrize("change", ["address", "edge", "generation", "no signature", "short", "no key"])
def test_a_changed_table_is_refused_by_every_reader(tmp_path: Path, change: str) -> None:
    write_signed_table(tmp_path, TABLE_1)
    reader = TableFile(tmp_path)
    assert reader.read() == TABLE_1
    value = TABLE.read_object(tmp_path)
    if change == "address":
        value["edges"][0]["tunnel_v4"] = "192.0.2.66"
    elif change == "edge":
        value["edges"] = []
    elif change == "generation":
        value["generation"] = 2
    elif change == "no signature":
        del value["signature"]
    elif change == "short":
        value["signature"] = "AAAA"
    else:
        TABLE_KEY.path_in(tmp_path).unlink()
    TABLE.write_object(tmp_path, value)
    with pytest.raises(ValueError, match=r"signed|signature|table\.key is missing"):
        load_table(tmp_path)
    with pytest.raises(NodeUnknown):
        _table_at_load(tmp_path)
    assert reader.read() == TABLE_1, "the last valid one stays"


def test_an_agent_that_was_taken_over_gives_no_table_of_its_own(tmp_path: Path, placed: Path) -> None:
    write_signed_table(tmp_path, TABLE_1)
    assert load_table(tmp_path) == TABLE_1
    forge_table(tmp_path)
    with pytest.raises(Forged):
        load_table(tmp_path)
    placed.unlink()  # fail closed: the agent's key is not taken instead
    with pytest.raises(TableKeyUnknown, match="sennit table-key"):
        load_table(tmp_path)


@pytest.mark.parametrize("how", ["writable", "link", "another's", "no key", "folder", "fifo"])
def test_a_key_that_others_may_write_is_none(
    tmp_path: Path, placed: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "writable":
        placed.chmod(0o664)
    elif how == "link":
        placed.rename(tmp_path / "key")
        placed.symlink_to(tmp_path / "key")
    elif how == "another's":
        monkeypatch.setattr(table_key, "ROOT", os.geteuid() + 1)
    elif how == "no key":
        placed.write_text('{"ed25519": "00"}')
    elif how == "folder":
        placed.parent.chmod(0o777)
    else:
        placed.unlink()
        os.mkfifo(placed)
    with pytest.raises(TableKeyUnknown, match=TABLE_KEY_VARIABLE):
        trusted_table_keys(tmp_path)


def test_another_key_than_the_placed_one_is_not_pinned(tmp_path: Path, placed: Path) -> None:
    with pytest.raises(TableKeyUnknown, match=r"edge\.yml"):
        pin_table_key(tmp_path, FORGER.public_key().public_bytes_raw())
    pin_table_key(tmp_path, GENUINE)
    assert trusted_table_keys(tmp_path) == (GENUINE,)


def test_the_error_of_a_damaged_file_names_it(tmp_path: Path) -> None:
    write_signed_table(tmp_path, TABLE_1)
    TABLE.write_text(tmp_path, "{")
    with pytest.raises(StateFileInvalid, match=r"table\.json"):
        load_table(tmp_path)
