"""The relay's state folder: canonical files, lowest free addresses, no private key of a peer."""

import json
from ipaddress import ip_address
from pathlib import Path

import pytest

from relay.configuration import RelayIdentity
from relay.server.peers import PeersInvalid, RelayDescription, RelayState
from relay.wireguard.device import DeviceStatus, PeerActivity, WireguardPeer, compare_peers
from relay.wireguard.keys import derive_public_key, encode_key

NETWORKS = ("10.71.0.0/16", "fd00:71::/64")


@pytest.fixture
def state(tmp_path: Path) -> RelayState:
    made = RelayState(tmp_path)
    identity = RelayIdentity(
        "paris",
        ((ip_address("198.51.100.7"), 51820),),
        derive_public_key(made.load_private_key()),
        ("203.0.113.0/24",),
        (),
        ("10.71.0.1", "fd00:71::1"),
    )
    made.write_description(RelayDescription("sennit-relay", identity, NETWORKS, 3))
    return made


def test_peers_get_the_lowest_free_addresses(state: RelayState) -> None:
    assert state.add_peer("a").addresses == ("10.71.0.2", "fd00:71::2")
    assert state.add_peer("b").addresses == ("10.71.0.3", "fd00:71::3")
    state.remove_peer("a")
    assert state.add_peer("c").addresses == ("10.71.0.2", "fd00:71::2")
    assert [peer.name for peer in state.read_peers()] == ["b", "c"]


def test_the_private_key_is_in_the_configuration_alone(state: RelayState, tmp_path: Path) -> None:
    made = state.add_peer("a")
    (peer,) = state.read_peers()
    assert peer.public_key == derive_public_key(made.private_key)
    for file in tmp_path.iterdir():
        assert encode_key(made.private_key) not in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600


def test_the_relays_own_key_stays(state: RelayState) -> None:
    assert state.load_private_key() == state.load_private_key()


def test_a_name_is_added_once_and_the_limit_holds(state: RelayState) -> None:
    for name in "abc":
        state.add_peer(name)
    with pytest.raises(PeersInvalid, match="3 peers, the limit"):
        state.add_peer("d")
    state.remove_peer("c")
    with pytest.raises(PeersInvalid, match="there is a peer a"):
        state.add_peer("a")
    with pytest.raises(PeersInvalid, match="there is no peer c"):
        state.remove_peer("c")


def test_without_a_relay_no_peer_is_added(tmp_path: Path) -> None:
    with pytest.raises(PeersInvalid, match="no relay has run"):
        RelayState(tmp_path).add_peer("a")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "peers": [{}]}', "[" * 100_000, "\xff"])
def test_a_damaged_file_is_named_and_nothing_is_written(state: RelayState, tmp_path: Path, text: str) -> None:
    state.add_peer("a")
    (tmp_path / "peers.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(PeersInvalid, match=r"peers\.json"):
        state.add_peer("b")
    assert (tmp_path / "peers.json").read_bytes() == text.encode("latin-1")


def test_one_address_is_not_two_peers(state: RelayState, tmp_path: Path) -> None:
    for name in "ab":
        state.add_peer(name)
    fields = json.loads((tmp_path / "peers.json").read_text())
    fields["peers"][1]["addresses"] = fields["peers"][0]["addresses"]
    (tmp_path / "peers.json").write_text(json.dumps(fields))
    with pytest.raises(PeersInvalid, match="occurs twice"):
        state.read_peers()


def test_only_peers_that_changed_are_touched() -> None:
    """A peer that is set again would lose its session."""
    keys = [bytes([number]) * 32 for number in range(4)]
    status = DeviceStatus(
        None, 1, {key: PeerActivity(frozenset({f"10.71.0.{key[0]}/32"})) for key in keys[:3]}
    )
    wanted = [
        WireguardPeer(keys[0], ("10.71.0.0/32",)),
        WireguardPeer(keys[1], ("10.71.0.9/32",)),
        WireguardPeer(keys[3], ("10.71.0.3/32",)),
    ]
    change = compare_peers(status, wanted)
    assert change.remove_peers == (keys[2],)
    assert [peer.public_key for peer in change.set_peers] == [keys[1], keys[3]]
