"""The keys that a node believes through rotations, with and without a key that root placed."""

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.key_link import LINKS_KEPT, KeyLink, find_followers
from node.state import table_key
from node.state.catalogue import TABLE_KEY
from node.state.table_key import (
    TABLE_KEY_VARIABLE,
    TableKeyUnknown,
    encode_key,
    learn_keys,
    pin_table_key,
    promote_key,
    trusted_table_keys,
)

KEYS = [Ed25519PrivateKey.generate() for _ in range(4)]
FORGER = Ed25519PrivateKey.generate()
FIRST, SECOND, THIRD, FOURTH = (key.public_key().public_bytes_raw() for key in KEYS)
EVIL = FORGER.public_key().public_bytes_raw()
LINKS = tuple(KeyLink.sign(KEYS[n], (SECOND, THIRD, FOURTH)[n]) for n in range(3))


def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: bytes) -> None:
    path = tmp_path / "etc" / "table.key"
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_text(json.dumps(encode_key(key)))
    path.chmod(0o644)
    monkeypatch.setenv(TABLE_KEY_VARIABLE, str(path))
    monkeypatch.setattr(table_key, "ROOT", os.geteuid())


def test_both_keys_are_believed_during_a_rotation_and_the_new_one_alone_afterwards(tmp_path: Path) -> None:
    pin_table_key(tmp_path, FIRST)
    assert learn_keys(tmp_path, FIRST, SECOND, LINKS[:1])
    assert trusted_table_keys(tmp_path) == (FIRST, SECOND)
    assert not learn_keys(tmp_path, FIRST, SECOND, LINKS[:1]), "nothing new, nothing written"
    promote_key(tmp_path)
    assert trusted_table_keys(tmp_path) == (SECOND,)
    promote_key(tmp_path)
    assert trusted_table_keys(tmp_path) == (SECOND,)


def test_a_cancelled_rotation_leaves_the_first_key(tmp_path: Path) -> None:
    pin_table_key(tmp_path, FIRST)
    learn_keys(tmp_path, FIRST, SECOND, LINKS[:1])
    learn_keys(tmp_path, FIRST, None, ())
    assert trusted_table_keys(tmp_path) == (FIRST,)


@pytest.mark.parametrize("rotations", [1, 2, 3])
def test_a_node_that_was_away_for_whole_rotations_follows_the_links(tmp_path: Path, rotations: int) -> None:
    pin_table_key(tmp_path, FIRST)
    newest = (SECOND, THIRD, FOURTH)[rotations - 1]
    learn_keys(tmp_path, newest, None, LINKS[:rotations])
    assert trusted_table_keys(tmp_path) == (FIRST, newest)
    promote_key(tmp_path)
    assert trusted_table_keys(tmp_path) == (newest,)


def test_a_key_without_a_link_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    pin_table_key(tmp_path, FIRST)
    before = TABLE_KEY.read_text(tmp_path)
    forged = KeyLink(FIRST, EVIL, KeyLink.sign(FORGER, EVIL).signature)
    for links in ((), LINKS[:1], LINKS[1:], (forged,), (KeyLink.sign(FORGER, THIRD),)):
        with pytest.raises(TableKeyUnknown, match=r"edge\.yml"):
            learn_keys(tmp_path, EVIL if forged in links else THIRD, None, links)
        assert TABLE_KEY.read_text(tmp_path) == before


def test_the_key_before_leads_nowhere_once_it_was_dropped(tmp_path: Path) -> None:
    pin_table_key(tmp_path, FIRST)
    learn_keys(tmp_path, SECOND, None, LINKS[:1])
    promote_key(tmp_path)
    stolen = KeyLink.sign(KEYS[0], EVIL)
    with pytest.raises(TableKeyUnknown):
        learn_keys(tmp_path, EVIL, None, (*LINKS[:1], stolen))
    with pytest.raises(TableKeyUnknown):
        learn_keys(tmp_path, FIRST, None, ())
    assert trusted_table_keys(tmp_path) == (SECOND,)


def test_what_follows_roots_key_by_links_is_believed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path, monkeypatch, FIRST)
    pin_table_key(tmp_path, FIRST)
    learn_keys(tmp_path, FIRST, SECOND, LINKS[:1])
    assert trusted_table_keys(tmp_path) == (FIRST, SECOND)
    promote_key(tmp_path)
    assert trusted_table_keys(tmp_path) == (SECOND,), "though root's file still names the first"
    place(tmp_path, monkeypatch, SECOND)
    assert trusted_table_keys(tmp_path) == (SECOND,)
    TABLE_KEY.write_object(tmp_path, {**encode_key(EVIL), "next": EVIL.hex(), "links": []})
    assert trusted_table_keys(tmp_path) == (SECOND,), "an agent that was taken over names a key of its own"


def test_the_key_that_root_places_after_a_theft_counts_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path, monkeypatch, FIRST)
    pin_table_key(tmp_path, FIRST)
    learn_keys(tmp_path, FIRST, EVIL, (KeyLink.sign(KEYS[0], EVIL),))
    assert EVIL in trusted_table_keys(tmp_path), "who has the key can do this"
    place(tmp_path, monkeypatch, THIRD)
    assert trusted_table_keys(tmp_path) == (THIRD,)
    pin_table_key(tmp_path, THIRD)
    assert trusted_table_keys(tmp_path) == (THIRD,)


def test_links_are_bounded_and_those_of_strangers_displace_none(tmp_path: Path) -> None:
    pin_table_key(tmp_path, FIRST)
    learn_keys(tmp_path, FIRST, SECOND, LINKS[:1])
    strangers = [Ed25519PrivateKey.generate() for _ in range(3 * LINKS_KEPT)]
    junk = tuple(KeyLink.sign(key, EVIL) for key in strangers)
    learn_keys(tmp_path, FIRST, SECOND, (*LINKS[:1], *junk))
    assert len(TABLE_KEY.read_object(tmp_path)["links"]) == 1
    circle = (KeyLink.sign(KEYS[0], SECOND), KeyLink.sign(KEYS[1], FIRST))
    assert find_followers(FIRST, circle) == (FIRST, SECOND)
