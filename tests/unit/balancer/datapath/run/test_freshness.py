"""The forwarder believes its table to be current by the control plane's signed timestamp, not by the agent's word."""

import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from signed_table import TABLE_SIGNER, write_signed_table

from balancer.datapath.run.table_follower import TableFollower
from balancer.model.table import ForwardingTable
from balancer.model.timestamp import LIFETIME, Freshness, Timestamp
from node.state.catalogue import CONTACT
from node.state.signs import write_contact
from node.state.state_file import FileWatch

TABLE = ForwardingTable(generation=7)


@pytest.fixture
def follower(tmp_path: Path) -> TableFollower:
    """A follower without maps, which has applied generation 7."""
    made = TableFollower.__new__(TableFollower)
    made._state, made.table = tmp_path, TABLE
    made._contact, made._freshness = FileWatch(CONTACT, tmp_path), Freshness()
    write_signed_table(tmp_path, TABLE)
    return made


def stamp(generation: int, age: float = 0.0, key: Ed25519PrivateKey = TABLE_SIGNER) -> str:
    return Timestamp(int(time.time() - age), LIFETIME, generation, 0, 0).sign(key)


def test_a_signed_timestamp_of_this_table_makes_it_current(follower: TableFollower, tmp_path: Path) -> None:
    assert follower._is_fresh(), "a node without an agent"
    write_contact(tmp_path, stamp(7))
    assert follower._is_fresh()
    assert follower._is_fresh()


@pytest.mark.parametrize("what", ["none", "forged", "old", "newer table", "replayed"])
def test_the_word_of_an_agent_that_was_taken_over_does_not(
    follower: TableFollower, tmp_path: Path, what: str
) -> None:
    text = {
        "none": "",
        "forged": stamp(7, key=Ed25519PrivateKey.generate()),
        "old": stamp(7, LIFETIME + 1),
        "newer table": stamp(8),
        "replayed": stamp(7, LIFETIME + 1),
    }[what]
    for _ in range(2):  # the file may be written as often as the agent likes
        write_contact(tmp_path, text)
        assert not follower._is_fresh()
