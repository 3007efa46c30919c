"""Both ends of the key exchange against each other, and against an attacker that changes a byte on one path."""

from ipaddress import ip_address

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from exchanges import CELLULAR, WIFI, Exchange, entropy

from smkex.core import errors
from smkex.core.handshake.client import ClientHandshake, ClientState
from smkex.core.handshake.config import ClientConfig, ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.keys.key_schedule import ROOTS
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import Aead, Endpoint, LocatorKind, Observation, ServerShare, encode_abort
from smkex.core.wire.named_group import NamedGroup

MESSAGES = ("client_share", "server_share", "client_nonce", "server_nonce")


def test_both_ends_agree_on_every_key() -> None:
    exchange = Exchange()
    exchange.run()
    client, server = exchange.client.established, exchange.server.established
    assert client.keys.th == server.keys.th
    for purpose in ROOTS:
        assert client.keys.root(purpose) == server.keys.root(purpose)
    assert exchange.server.path_confirmed
    assert client.observed == server.observed == (CELLULAR, WIFI)


def test_the_edge_learns_the_server_name() -> None:
    exchange = Exchange(config=ClientConfig(server_name="shop.example"))
    exchange.run()
    assert exchange.server.established.server_name == "shop.example"


@pytest.mark.parametrize("name", MESSAGES)
def test_every_changed_byte_ends_the_handshake_at_the_client(name: str) -> None:
    pristine = Exchange()
    pristine.run()
    for at in range(len(pristine.wire[name])):
        for bit in (0x01, 0x80):

            def flip(which: str, frame: bytes, at: int = at, bit: int = bit) -> bytes:
                if which != name:
                    return frame
                return frame[:at] + bytes([frame[at] ^ bit]) + frame[at + 1 :]

            attacked = Exchange(flip)
            with pytest.raises((errors.SmkexError, TimeoutError)):
                attacked.run()
            assert attacked.client.state is not ClientState.DONE, f"byte {at} of {name}"
            assert "finished_0" not in attacked.wire


@pytest.mark.parametrize("path", [0, 1])
def test_every_changed_byte_of_finished_is_noticed_by_the_edge(path: int) -> None:
    pristine = Exchange()
    pristine.run()
    name = f"finished_{path}"
    for at in range(len(pristine.wire[name])):

        def flip(which: str, frame: bytes, at: int = at) -> bytes:
            return frame if which != name else frame[:at] + bytes([frame[at] ^ 4]) + frame[at + 1 :]

        attacked = Exchange(flip)
        with pytest.raises((errors.SmkexError, TimeoutError, AssertionError)):
            attacked.run()
        assert path not in attacked.server.confirmed


def test_a_substituted_share_shows_in_the_binding() -> None:
    """An active attacker on path 0 with a share of its own, a passive one on path 1."""
    attacker = ClientHandshake.begin(ClientConfig(), entropy(50)).client_share
    shares = attacker.index(b"\x04\xe8\x11\xec")  # their length, and the first group

    def substitute(name: str, frame: bytes) -> bytes:
        return frame[:shares] + attacker[shares:] if name == "client_share" else frame

    with pytest.raises(errors.BindingMismatch):
        Exchange(substitute).run()


def test_path_one_says_nothing_that_depends_on_path_zero() -> None:
    """The same entropy and arbitrary replies on path 0 give identical bytes on path 1."""
    said = set()
    for seed in range(5):
        client = ClientHandshake.begin(ClientConfig(), entropy())
        server = ServerHandshake.answer_client_share(
            ServerConfig(edge_id=seed + 1), client.client_share, CELLULAR, bytes([seed + 1]) * 32
        )
        client.receive(0, FrameType.SERVER_SHARE, server.server_share)
        said.add(client.client_nonce)
    assert len(said) == 1


def test_an_active_attacker_on_path_zero_is_never_path_confirmed() -> None:
    """It completes as the client: it knows all keys, but can speak on path 0 only."""
    attacker = ClientHandshake.begin(ClientConfig(), entropy())
    edge = ServerHandshake.answer_client_share(
        ServerConfig(edge_id=1), attacker.client_share, CELLULAR, bytes(31) + b"\1"
    )
    attacker.receive(0, FrameType.SERVER_SHARE, edge.server_share)
    answer = edge.receive_nonce(1, attacker.client_nonce, WIFI, bytes(32))
    attacker.receive(1, FrameType.SERVER_NONCE, answer)
    edge.receive_finished(0, attacker.finished(0))
    assert not edge.path_confirmed
    with pytest.raises(errors.WrongPath):
        edge.receive_finished(0, attacker.finished(1))
    assert not edge.path_confirmed


def test_a_nonce_racer_blocks_no_client() -> None:
    client = ClientHandshake.begin(ClientConfig(), entropy())
    edge = ServerHandshake.answer_client_share(
        ServerConfig(edge_id=1), client.client_share, CELLULAR, bytes(31) + b"\1"
    )
    client.receive(0, FrameType.SERVER_SHARE, edge.server_share)
    racer = client.client_nonce[:20] + bytes(32)
    for subflow in range(5, 50):  # who has read the session id on path 0, however often
        with pytest.raises(errors.CommitmentMismatch):
            edge.receive_nonce(subflow, racer, WIFI, bytes([subflow]) * 32)
    for subflow in (1, 2, 3):  # who has read the nonce on path 1
        edge.receive_nonce(subflow, client.client_nonce, WIFI, bytes([subflow]) * 32)
    client.receive(1, FrameType.SERVER_NONCE, edge.receive_nonce(4, client.client_nonce, WIFI, bytes(32)))
    assert edge.is_candidate_only(2)
    edge.receive_finished(0, client.finished(0))
    edge.receive_finished(4, client.finished(1))
    assert edge.path_confirmed
    assert edge.winner == 4
    with pytest.raises(errors.UnexpectedMessage):
        edge.receive_nonce(5, racer, WIFI, bytes(32))


def test_candidates_are_bounded() -> None:
    client = ClientHandshake.begin(ClientConfig(), entropy())
    edge = ServerHandshake.answer_client_share(
        ServerConfig(edge_id=1), client.client_share, CELLULAR, bytes(31) + b"\1"
    )
    for subflow in range(1, 5):
        edge.receive_nonce(subflow, client.client_nonce, WIFI, bytes(32))
    with pytest.raises(errors.TooManyCandidates):
        edge.receive_nonce(5, client.client_nonce, WIFI, bytes(32))


@pytest.mark.parametrize("low_order", [bytes(32), b"\1" + bytes(31)])
def test_a_low_order_share_is_refused_by_both_ends(low_order: bytes) -> None:
    client = ClientHandshake.begin(ClientConfig(), entropy())
    own = X25519PrivateKey.from_private_bytes(entropy().private_key).public_key().public_bytes_raw()
    for groups in ((NamedGroup.X25519MLKEM768,), (NamedGroup.X25519,)):
        edge = ServerConfig(edge_id=1, groups=groups)
        share = client.client_share.replace(own, low_order)
        with pytest.raises(errors.BadShare):
            ServerHandshake.answer_client_share(edge, share, CELLULAR, bytes([1]) * 32)


def test_messages_on_the_wrong_path_are_refused() -> None:
    client = ClientHandshake.begin(ClientConfig(), entropy())
    edge = ServerHandshake.answer_client_share(
        ServerConfig(edge_id=1), client.client_share, CELLULAR, bytes(31) + b"\1"
    )
    with pytest.raises(errors.WrongPath):
        client.receive(1, FrameType.SERVER_SHARE, edge.server_share)
    assert client.state is ClientState.FAILED


def test_the_same_client_address_on_both_paths_is_a_shared_path() -> None:
    same = Observation(9, Endpoint(CELLULAR.client.address, 1))
    with pytest.raises(errors.SharedPath):
        Exchange(wifi=same).run()
    allowed = Exchange(config=ClientConfig(allow_shared_path=True), wifi=same)
    allowed.run()
    assert allowed.client.established.downgrades == ("shared-path",)


def test_strict_paths_refuse_one_ingress_edge() -> None:
    with pytest.raises(errors.SharedPath, match="edge 7"):
        Exchange(config=ClientConfig(strict_paths=True), wifi=Observation(7, WIFI.client)).run()


def test_secrets_do_not_show_in_representations() -> None:
    exchange = Exchange()
    exchange.run()
    shown = repr(exchange.client.established) + repr(entropy()) + repr(exchange.client.established.keys)
    assert exchange.client.established.keys.root("client data").hex() not in shown
    assert "\\x02\\x02" not in shown


# --- what has no place


def test_an_edge_chooses_only_what_was_offered() -> None:
    """And the client holds it to that."""
    with pytest.raises(errors.NoCommonAead):
        Exchange(
            config=ClientConfig(aeads=(Aead.AES_128_GCM,)),
            server_config=ServerConfig(edge_id=7, aeads=(Aead.CHACHA20_POLY1305,)),
        ).run()

    def choose(name: str, frame: bytes) -> bytes:
        return frame if name != "server_share" else frame[:6] + bytes([Aead.CHACHA20_POLY1305]) + frame[7:]

    with pytest.raises(errors.NoCommonAead, match="not offered"):
        Exchange(choose, config=ClientConfig(aeads=(Aead.AES_128_GCM,))).run()


def test_a_certified_share_in_a_mode_without_one_is_malformed() -> None:
    def add(name: str, frame: bytes) -> bytes:
        if name != "server_share":
            return frame
        said = ServerShare.parse(frame)
        return ServerShare.build(
            said.mode,
            said.aead,
            said.edge_id,
            said.locator,
            said.observed,
            said.group,
            said.share,
            b"certified",
        ).frame

    with pytest.raises(errors.MalformedMessage, match="certified"):
        Exchange(add).run()


def test_a_locator_of_the_other_kind_is_refused() -> None:
    with pytest.raises(errors.UnexpectedMessage, match="ADDRESS locator"):
        Exchange(server_config=ServerConfig(edge_id=7, locator=LocatorKind.ADDRESS)).run()


@pytest.mark.parametrize("kind", LocatorKind)
def test_a_client_that_takes_either_kind_of_locator_learns_which(kind: LocatorKind) -> None:
    named = []

    def look(name: str, frame: bytes) -> bytes:
        if name == "client_nonce":
            named.append(exchange.client.locator)
        return frame

    exchange = Exchange(look, ClientConfig(locator=None), server_config=ServerConfig(edge_id=7, locator=kind))
    exchange.run()
    assert named == [kind]


@pytest.mark.parametrize(
    ("client", "kind"), [("198.51.100.7", LocatorKind.PORT), ("2001:db8::7", LocatorKind.ADDRESS)]
)
def test_an_edge_may_have_another_kind_of_locator_over_ipv6(client: str, kind: LocatorKind) -> None:
    config = ServerConfig(edge_id=7, locator_v6=LocatorKind.ADDRESS)
    assert config.locator_towards(Endpoint(ip_address(client), 40000)) is kind


def test_the_edge_refuses_a_low_order_share_of_the_clients_as_the_client_does_the_edges() -> None:
    def substitute(name: str, frame: bytes) -> bytes:
        if name != "server_share":
            return frame
        said = ServerShare.parse(frame)
        return ServerShare.build(
            said.mode,
            said.aead,
            said.edge_id,
            said.locator,
            said.observed,
            said.group,
            said.share[:-32] + bytes(32),
        ).frame

    with pytest.raises(errors.BadShare):
        Exchange(substitute).run()


def test_an_abort_ends_the_handshake_with_the_reason_of_the_other_end() -> None:
    client = ClientHandshake.begin(ClientConfig(), entropy())
    with pytest.raises(errors.PeerAborted, match="overloaded"):
        client.receive(0, FrameType.ABORT, encode_abort(errors.AbortCode.OVERLOADED))
    assert client.state is ClientState.FAILED


def test_a_message_before_its_time_or_after_the_end_is_unexpected() -> None:
    done = Exchange()
    done.run()
    with pytest.raises(errors.UnexpectedMessage, match="state DONE"):
        done.client.receive(1, FrameType.SERVER_NONCE, done.wire["server_nonce"])
    assert done.client.established, "what is done stays done"
    early = ClientHandshake.begin(ClientConfig(), entropy())
    with pytest.raises(errors.UnexpectedMessage, match="AWAIT_SERVER_SHARE"):
        early.receive(1, FrameType.SERVER_NONCE, done.wire["server_nonce"])
    with pytest.raises(errors.UnexpectedMessage, match="FAILED"):
        early.receive(0, FrameType.SERVER_SHARE, done.wire["server_share"])


def test_nothing_is_known_before_it_is_received() -> None:
    client = ClientHandshake.begin(ClientConfig(), entropy())
    with pytest.raises(errors.UnexpectedMessage, match="path 0"):
        _ = client.edge_id
    with pytest.raises(errors.UnexpectedMessage, match="not done"):
        _ = client.established
    edge = ServerHandshake.answer_client_share(
        ServerConfig(edge_id=1), client.client_share, CELLULAR, bytes(31) + b"\1"
    )
    with pytest.raises(errors.UnexpectedMessage, match="no Finished"):
        _ = edge.established


def test_strict_paths_refuse_two_addresses_of_one_prefix() -> None:
    near = Observation(9, Endpoint(ip_address("198.51.100.99"), 50000))
    with pytest.raises(errors.SharedPath, match="/24"):
        Exchange(config=ClientConfig(strict_paths=True), wifi=near).run()
    apart = Exchange(config=ClientConfig(strict_paths=True))
    apart.run()
    assert apart.client.established.downgrades == ()


def test_a_second_finished_on_one_path_is_unexpected() -> None:
    done = Exchange()
    done.run()
    for subflow in (0, 1):
        with pytest.raises(errors.UnexpectedMessage, match="second Finished"):
            done.server.receive_finished(subflow, done.wire[f"finished_{subflow}"])


def test_a_candidate_whose_subflow_has_gone_makes_room_but_the_winner_stays() -> None:
    client = ClientHandshake.begin(ClientConfig(), entropy())
    config = ServerConfig(edge_id=1, maximum_candidates=1)
    edge = ServerHandshake.answer_client_share(config, client.client_share, CELLULAR, bytes(31) + b"\1")
    client.receive(0, FrameType.SERVER_SHARE, edge.server_share)
    edge.receive_nonce(1, client.client_nonce, WIFI, bytes(32))
    edge.drop_candidate(1)
    client.receive(1, FrameType.SERVER_NONCE, edge.receive_nonce(2, client.client_nonce, WIFI, bytes(32)))
    edge.receive_finished(2, client.finished(1))
    edge.drop_candidate(2)
    assert edge.winner == 2
    edge.receive_finished(0, client.finished(0))
    assert edge.confirmed == {0, 1}


def test_an_edge_that_drains_begins_no_session() -> None:
    with pytest.raises(errors.Draining):
        Exchange(server_config=ServerConfig(edge_id=7, draining=True)).run()
