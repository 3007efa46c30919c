"""The server name under seal: what opens it, what does not, and which key a client takes."""

import time
from dataclasses import replace

import hpke_stranger
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from exchanges import CELLULAR, WIFI, Exchange, entropy
from name_keys import FLEET, NEW, OLD, long_term, public_half

from smkex.core import errors
from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ClientConfig, ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.keys.keyfile import KeyFileDamaged, name_keys_text, read_name_keys
from smkex.core.keys.name_key import NAME_KEY_LENGTH, NameKey, NamePrivateKey, read_replacement
from smkex.core.keys.sealed_name import hpke_seal, open_server_name, pad_name
from smkex.core.wire.frame import FrameType, encode_frame
from smkex.core.wire.messages import NAME_KEY, SEALED_NAME, ClientShare, Mode, ServerShare, encode_options

NOW = int(time.time())
OTHER_FLEET = Ed25519PrivateKey.from_private_bytes(bytes([5]) * 32)


def client_config(key: NameKey | None, name: str = "cdn.example") -> ClientConfig:
    return ClientConfig(name, (Mode.TOFU,), fleet_keys={FLEET: 0}, now=NOW, name_key=key)


def server_config(*keys: NamePrivateKey) -> ServerConfig:
    return ServerConfig(7, (Mode.TOFU,), long_term=long_term(), name_keys=keys)


def exchange(held: NameKey | None, *keys: NamePrivateKey, name: str = "cdn.example") -> Exchange:
    return Exchange(config=client_config(held, name), server_config=server_config(*keys))


def done(held: NameKey | None, *keys: NamePrivateKey) -> Exchange:
    made = exchange(held, *keys)
    made.run()
    return made


def answer(frame: bytes, *keys: NamePrivateKey) -> ServerHandshake:
    return ServerHandshake.answer_client_share(server_config(*keys), frame, CELLULAR, bytes([9]) * 32)


def test_the_published_vector_of_hpke() -> None:
    """RFC 9180 appendix A.1.1.1, first message; the strangers' HPKE holds `cryptography`'s to it below."""
    sealed = hpke_stranger.seal(
        bytes.fromhex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"),
        bytes.fromhex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736"),
        bytes.fromhex("4f6465206f6e2061204772656369616e2055726e"),
        b"Count-0",
        bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479"),
    )
    assert sealed[:32].hex() == "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"
    assert sealed[32:].hex() == (
        "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
    )


def test_with_a_known_key_the_name_is_on_no_path_and_the_edge_has_it() -> None:
    sealed = done(NEW.signed, NEW)
    assert not any(b"cdn.example" in frame for frame in sealed.wire.values())
    assert sealed.server.established.server_name == "cdn.example"
    assert sealed.client.established.name == "sealed"
    assert sealed.client.established.name_key == NEW.signed
    assert ServerShare.parse(sealed.wire["server_share"]).options == ()


def test_without_one_it_is_in_clear_and_the_edge_gives_the_key() -> None:
    clear = done(None, NEW, OLD)
    assert b"cdn.example" in clear.wire["client_share"]
    assert clear.client.established.name == "clear"
    assert clear.client.established.name_key == NEW.signed
    nameless = exchange(OLD.signed, NEW, name="")
    nameless.run()
    assert nameless.client.established.name == "none"
    assert nameless.server.established.server_name == ""


def test_a_key_that_is_no_longer_the_first_opens_names_and_is_replaced() -> None:
    rotating = done(OLD.signed, NEW, OLD)
    assert rotating.server.established.server_name == "cdn.example"
    assert rotating.client.established.name == "sealed"
    assert rotating.client.established.name_key == NEW.signed


def test_an_older_key_never_comes_back() -> None:
    kept = done(NEW.signed, OLD, NEW)
    assert ServerShare.parse(kept.wire["server_share"]).options == ((NAME_KEY, OLD.signed.encode()),)
    assert kept.client.established.name_key == NEW.signed


def test_lengths_do_not_tell_the_name() -> None:
    frames = {len(exchange(NEW.signed, NEW, name="n" * length).client.client_share) for length in (1, 11, 31)}
    assert len(frames) == 1
    assert {len(pad_name("n" * length)) for length in (31, 32, 253)} == {32, 64, 256}


def test_a_seal_in_another_client_share_does_not_open() -> None:
    genuine = ClientShare.parse(exchange(NEW.signed, NEW).client.client_share)
    other = ClientShare.parse(ClientHandshake.begin(client_config(NEW.signed), entropy(7)).client_share)
    assert answer(other.frame, NEW)
    pasted = other.frame_with(SEALED_NAME, genuine.sealed_name or b"")
    with pytest.raises(errors.NameNotOpened) as refused:
        answer(pasted, NEW, OLD)
    assert refused.value.detail == NEW.signed.encode()
    with pytest.raises(errors.NameNotOpened) as refused:
        answer(genuine.frame)
    assert refused.value.detail == b""


def test_every_changed_byte_of_a_sealed_client_share_is_refused() -> None:
    genuine = exchange(NEW.signed, NEW).client.client_share
    for at in range(4, len(genuine), 7):
        with pytest.raises(errors.SmkexError):
            answer(genuine[:at] + bytes([genuine[at] ^ 1]) + genuine[at + 1 :], NEW)


def test_a_seal_that_is_stripped_shows_in_the_binding() -> None:
    def strip(name: str, frame: bytes) -> bytes:
        if name != "client_share":
            return frame
        share = ClientShare.parse(frame)
        modes, aeads = (Mode.TOFU,), attacked.config.aeads
        return ClientShare.build(
            share.session_id, modes, aeads, share.commitment, share.shares, "cdn.example"
        ).frame

    attacked = exchange(NEW.signed, NEW)
    attacked.tamper = strip
    with pytest.raises(errors.BindingMismatch):
        attacked.run()


def share_with(options: tuple[tuple[int, bytes], ...], name: str = "") -> ClientShare:
    genuine = ClientShare.parse(exchange(None).client.client_share)
    modes, aeads = (Mode.TOFU,), ClientConfig().aeads
    return ClientShare.build(
        genuine.session_id, modes, aeads, genuine.commitment, genuine.shares, name, options
    )


def test_a_name_in_clear_beside_its_seal_is_malformed() -> None:
    with pytest.raises(errors.MalformedMessage, match="in clear and under seal"):
        share_with(((SEALED_NAME, b""),), "cdn.example")
    assert share_with(((0, b"a"), (2, b"b"))).sealed_name is None


@pytest.mark.parametrize(
    "clear",
    [b"", bytes(32), b"\3abc" + bytes(27), b"\3abc" + bytes(27) + b"\1", b"\3ab\xff" + bytes(28), b"\x40abc"],
)
def test_what_is_no_padded_name_is_malformed(clear: bytes) -> None:
    options = ((0, b"before"), (SEALED_NAME, bytes(48 + len(clear))), (9, b"behind"))
    outer = share_with(options)
    info = len("sennit smkex 2 server name").to_bytes(4, "big") + b"sennit smkex 2 server name"
    info += len(outer.frame).to_bytes(4, "big") + outer.frame
    sealed = ClientShare.parse(outer.frame_with(SEALED_NAME, hpke_seal(NEW.signed.public, clear, info)))
    assert sealed.options[0] == options[0]
    assert sealed.frame.endswith(encode_options(sealed.options))
    with pytest.raises(errors.MalformedMessage):
        open_server_name(sealed, [NEW])


def given_key(key: NameKey) -> Exchange:
    """An exchange whose edge gives this key."""
    return exchange(None, NamePrivateKey(bytes(32), key))


@pytest.mark.parametrize(
    ("key", "error", "why"),
    [
        (replace(NEW.signed, serial=5), errors.CertificateRefused, "does not verify"),
        (NameKey.issue(OTHER_FLEET, NEW.signed.public, NOW), errors.CertificateRefused, "another fleet key"),
    ],
    ids=["signature", "fleet"],
)
def test_a_key_that_the_fleet_has_not_signed_ends_the_handshake(
    key: NameKey, error: type[errors.SmkexError], why: str
) -> None:
    attacked = given_key(key)
    with pytest.raises(error, match=why):
        attacked.run()
    assert "finished_0" not in attacked.wire


def test_without_tofu_no_key_is_given_or_taken() -> None:
    modes = (Mode.OPPORTUNISTIC,)
    plain = Exchange(
        config=ClientConfig("cdn.example", modes), server_config=ServerConfig(7, modes, name_keys=(NEW,))
    )
    plain.run()
    assert ServerShare.parse(plain.wire["server_share"]).options == ()
    given = Exchange(config=ClientConfig("cdn.example", modes), server_config=ServerConfig(7, modes))
    given.server = ServerHandshake.answer_client_share(
        given.server_config, given.client.client_share, CELLULAR, bytes([9]) * 32
    )
    share = given.server.server_share
    options = encode_options(((NAME_KEY, NEW.signed.encode()),))
    frame = encode_frame(FrameType.SERVER_SHARE, share[4:-2] + options)
    given.server._first.second = frame
    given.client.receive(0, FrameType.SERVER_SHARE, frame)
    given.client.receive(
        1,
        FrameType.SERVER_NONCE,
        given.server.receive_nonce(1, given.client.client_nonce, WIFI, bytes([8]) * 32),
    )
    assert given.client.established.name_key is None


def refusal(
    detail: bytes, code: int = errors.AbortCode.NAME_NOT_OPENED, *, authenticated: bool = False
) -> errors.PeerAborted:
    return errors.PeerAborted(code, authenticated=authenticated, peer_detail=detail)


def test_a_refusal_counts_by_the_newer_key_that_the_known_fleet_has_signed() -> None:
    newer = NEW.signed.encode()
    assert len(newer) == NAME_KEY_LENGTH
    assert read_replacement(refusal(newer), OLD.signed, {FLEET}) == NEW.signed


@pytest.mark.parametrize(
    ("refused", "held", "fleets"),
    [
        (refusal(NEW.signed.encode()), None, {FLEET}),
        (refusal(NEW.signed.encode(), authenticated=True), OLD.signed, {FLEET}),
        (refusal(NEW.signed.encode(), errors.AbortCode.OVERLOADED), OLD.signed, {FLEET}),
        (refusal(b""), OLD.signed, {FLEET}),
        (refusal(b"\2" + NEW.signed.encode()[1:]), OLD.signed, {FLEET}),
        (refusal(NEW.signed.encode()[:-1] + b"!"), OLD.signed, {FLEET}),
        (refusal(NEW.signed.encode()), OLD.signed, {"SHA256:another"}),
        (refusal(NEW.signed.encode()), NEW.signed, {FLEET}),
        (refusal(OLD.signed.encode()), NEW.signed, {FLEET}),
    ],
    ids=["none held", "later", "another code", "no key", "form", "signature", "fleet", "the same", "older"],
)
def test_other_refusals_are_final(
    refused: errors.PeerAborted, held: NameKey | None, fleets: set[str]
) -> None:
    assert read_replacement(refused, held, fleets) is None


def test_the_file_of_an_edges_name_keys() -> None:
    text = name_keys_text([NEW, OLD])
    assert read_name_keys(text) == (NEW, OLD)
    assert read_name_keys(text.splitlines()[1]) == (OLD,)
    mixed = NamePrivateKey(OLD.private_key, NEW.signed)
    unsigned = NamePrivateKey(NEW.private_key, replace(NEW.signed, serial=9))
    for damaged, why in (
        ("", "one or two lines"),
        (text * 2, "one or two lines"),
        ("????", "not a name key"),
        ("aaaa", "not a name key"),
        (name_keys_text([unsigned]), "does not verify"),
        (name_keys_text([mixed]), "not that of its private half"),
    ):
        with pytest.raises(KeyFileDamaged, match=why):
            read_name_keys(damaged)


def test_a_private_key_is_not_shown() -> None:
    assert repr(NEW.private_key) not in repr(NEW)
    assert public_half(NEW.private_key) == NEW.signed.public
