"""Groups of the key exchange: as TLS has them, chosen by the edge, refused by either end."""

from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from exchanges import CELLULAR, Exchange, entropy

from smkex.core import errors
from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ClientConfig, ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.keys import key_agreement
from smkex.core.keys.key_agreement import ClientKeys, answer_share, has_mlkem, require_groups
from smkex.core.wire.codec import u16, vec16
from smkex.core.wire.messages import SHARES_LIMIT, ClientShare, ServerShare
from smkex.core.wire.named_group import DEFAULT_GROUPS, NamedGroup, parse_groups

HYBRID, CLASSICAL = NamedGroup.X25519MLKEM768, NamedGroup.X25519
PRIVATE = X25519PrivateKey.from_private_bytes(bytes([9]) * 32)


def client_keys(*groups: NamedGroup) -> ClientKeys:
    return ClientKeys(bytes([1]) * 32, bytes([2]) * 64, groups)


@pytest.mark.parametrize(("group", "lengths"), [(HYBRID, (1216, 1120, 64)), (CLASSICAL, (32, 32, 32))])
def test_both_ends_agree_and_lengths_are_those_of_tls(
    group: NamedGroup, lengths: tuple[int, int, int]
) -> None:
    client = client_keys(group)
    ((offered, share),) = client.shares
    answer, secret = answer_share(group, share, PRIVATE)
    assert (offered, len(share), len(answer), len(secret)) == (group, *lengths)
    assert client.agree(group, answer) == secret
    assert "redacted" in repr(client)


def test_the_secret_has_ml_kem_first_and_needs_both_halves() -> None:
    client = client_keys(HYBRID, CLASSICAL)
    share = dict(client.shares)
    answer, secret = answer_share(HYBRID, share[HYBRID], PRIVATE)
    assert secret[32:] == PRIVATE.exchange(X25519PrivateKey.from_private_bytes(bytes([1]) * 32).public_key())
    assert share[HYBRID][-32:] == share[CLASSICAL]
    changed = bytes([answer[0] ^ 1]) + answer[1:]
    assert client.agree(HYBRID, changed)[:32] != secret[:32]
    assert client.agree(HYBRID, changed)[32:] == secret[32:]


def test_an_encapsulation_key_that_is_invalid_is_a_bad_share() -> None:
    ((_, share),) = client_keys(HYBRID).shares
    with pytest.raises(errors.BadShare, match="ML-KEM"):
        answer_share(HYBRID, b"\xff" * 1184 + share[-32:], PRIVATE)


@pytest.mark.parametrize(
    ("client", "edge", "chosen"),
    [
        (DEFAULT_GROUPS, DEFAULT_GROUPS, HYBRID),
        ((CLASSICAL, HYBRID), DEFAULT_GROUPS, HYBRID),
        (DEFAULT_GROUPS, (CLASSICAL,), CLASSICAL),
        ((CLASSICAL,), DEFAULT_GROUPS, CLASSICAL),
        ((CLASSICAL,), (HYBRID,), None),
        ((HYBRID,), (CLASSICAL,), None),
    ],
)
def test_the_edges_preference_among_what_both_allow(
    client: tuple[NamedGroup, ...], edge: tuple[NamedGroup, ...], chosen: NamedGroup | None
) -> None:
    exchange = Exchange(
        config=ClientConfig(groups=client), server_config=ServerConfig(edge_id=7, groups=edge)
    )
    if chosen is None:
        with pytest.raises(errors.NoCommonGroup):
            exchange.run()
        return
    exchange.run()
    assert exchange.client.established.group is exchange.server.established.group is chosen


def test_a_group_that_was_not_offered_is_refused_by_the_client() -> None:
    def choose(name: str, frame: bytes) -> bytes:
        if name != "server_share":
            return frame
        said = ServerShare.parse(frame)
        own = PRIVATE.public_key().public_bytes_raw()
        return ServerShare.build(
            said.mode, said.aead, said.edge_id, said.locator, said.observed, CLASSICAL, own
        ).frame

    attacked = Exchange(choose, config=ClientConfig(groups=(HYBRID,)))
    with pytest.raises(errors.NoCommonGroup, match="not offered"):
        attacked.run()
    assert "client_nonce" not in attacked.wire


def test_a_hybrid_that_is_stripped_shows_in_the_binding() -> None:
    """An active attacker on path 0 removes the hybrid from the offer, and the edge chooses what is left."""

    def strip(name: str, frame: bytes) -> bytes:
        if name != "client_share":
            return frame
        share = ClientShare.parse(frame)
        left = tuple(one for one in share.shares if one[0] == CLASSICAL)
        return frame_with(share, left)

    attacked = Exchange(strip)
    with pytest.raises(errors.BindingMismatch):
        attacked.run()
    assert "finished_0" not in attacked.wire


def frame_with(share: ClientShare, shares: tuple[tuple[int, bytes], ...]) -> bytes:
    return ClientShare.build(
        share.session_id,
        share.modes,
        share.aeads,
        share.commitment,
        shares,
        share.server_name,  # type: ignore[arg-type]
    ).frame


def test_unknown_groups_are_passed_over_and_repeated_or_cut_ones_malformed() -> None:
    share = ClientShare.parse(ClientHandshake.begin(ClientConfig(), entropy()).client_share)
    unknown = frame_with(share, ((0x6399, b"a draft"), *share.shares))
    edge = ServerHandshake.answer_client_share(ServerConfig(7), unknown, CELLULAR, bytes([9]) * 32)
    assert ServerShare.parse(edge.server_share).group is HYBRID
    many = tuple((n, b"") for n in range(100, 100 + SHARES_LIMIT + 1))
    for shares in (share.shares * 2, many, ((CLASSICAL, bytes(31)),)):
        with pytest.raises(errors.MalformedMessage):
            frame_with(share, shares)


def test_a_choice_that_no_one_defined_or_of_another_length_is_malformed() -> None:
    exchange = Exchange()
    exchange.run()
    frame = exchange.wire["server_share"]
    chosen = u16(HYBRID) + vec16(b"x" * 1120)[:2]
    for wrong in (u16(0x6399) + u16(1120), u16(CLASSICAL) + u16(1120)):
        with pytest.raises(errors.MalformedMessage):
            ServerShare.parse(frame.replace(chosen, wrong))


def test_names_are_parsed_in_their_order_each_once() -> None:
    assert parse_groups("x25519, X25519MLKEM768") == (CLASSICAL, HYBRID)
    for wrong in ("", "x448", "x25519,x25519"):
        with pytest.raises(ValueError, match="name each group once"):
            parse_groups(wrong)


def test_a_machine_without_ml_kem_is_found_out_before_anything_is_sent(monkeypatch: Any) -> None:
    require_groups(DEFAULT_GROUPS)
    with pytest.raises(errors.NoCommonGroup, match="name one"):
        require_groups(())

    def refuse(seed: bytes) -> None:
        raise UnsupportedAlgorithm("ML-KEM-768 is not supported by this backend.")

    monkeypatch.setattr(key_agreement, "MLKEM768PrivateKey", SimpleNamespace(from_seed_bytes=refuse))
    has_mlkem.cache_clear()
    try:
        with pytest.raises(errors.NoCommonGroup, match="cryptography 48"):
            require_groups(DEFAULT_GROUPS)
        require_groups((CLASSICAL,))
    finally:
        has_mlkem.cache_clear()
