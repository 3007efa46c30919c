"""Mode tofu: what the fleet's key certifies, what is refused, and what is remembered."""

import stat
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from exchanges import Exchange
from hypothesis import given
from hypothesis import strategies as st
from loopback import LoopbackEdge

import smkex
from smkex.client.known_hosts import KnownHost, KnownHosts, KnownHostsDamaged
from smkex.client.options import ConnectOptions
from smkex.core import errors
from smkex.core.handshake.config import ClientConfig, LongTermKey, ServerConfig
from smkex.core.keys.certificate import LABEL, LIFETIME_LIMIT, EdgeCertificate, fleet_key_fingerprint
from smkex.core.wire.frame import FrameType, encode_frame
from smkex.core.wire.messages import Mode, ServerShare

NOW = 1_700_000_000
FLEET, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
FIRST_CONTACT: dict[str, int] = {}
KNOWN, ANOTHER = (fleet_key_fingerprint(key.public_key().public_bytes_raw()) for key in (FLEET, OTHER))


LATER = int(time.time()) + 3600


def long_term(
    fleet: Ed25519PrivateKey = FLEET,
    edge_id: int = 7,
    until: int = NOW + 100,
    begins: int = NOW - 100,
    floor: int = 0,
) -> LongTermKey:
    private = bytes([3]) * 32
    share = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return LongTermKey(private, EdgeCertificate.issue(fleet, edge_id, share, begins, until, floor))


def exchange(
    key: LongTermKey | None = None, known: Mapping[str, int] = FIRST_CONTACT, now: int = NOW
) -> Exchange:
    server = ServerConfig(7, (Mode.TOFU, Mode.OPPORTUNISTIC), long_term=key or long_term())
    return Exchange(config=ClientConfig(modes=(Mode.TOFU,), fleet_keys=known, now=now), server_config=server)


def test_a_known_fleet_key_is_accepted_and_its_share_is_in_the_keys() -> None:
    tofu, plain = exchange(known={KNOWN: 0, ANOTHER: 0}), Exchange()
    tofu.run()
    plain.run()
    assert tofu.client.established.mode is Mode.TOFU
    assert tofu.client.established.fleet_key == KNOWN
    assert plain.client.established.fleet_key is None
    assert tofu.client.established.keys.finished(0) == tofu.server.established.keys.finished(0)


def test_who_has_not_the_certified_key_cannot_answer() -> None:
    """The attacker on both paths shows the genuine certificate, and has every key but the private half of it."""
    genuine = long_term()
    with pytest.raises(errors.MacMismatch):
        exchange(replace(genuine, private_key=bytes([9]) * 32), {KNOWN: 0}).run()


def test_another_fleet_key_is_refused_with_both_fingerprints() -> None:
    attacked = exchange(long_term(OTHER), {KNOWN: 0})
    with pytest.raises(errors.FleetKeyChanged) as refused:
        attacked.run()
    assert KNOWN in str(refused.value)
    assert ANOTHER in str(refused.value)
    assert "finished_0" not in attacked.wire


def test_a_key_that_one_path_alone_made_up_is_no_key_to_accept() -> None:
    """The user is not asked about it: that path is under attack, and so it is said."""
    made_up = long_term(OTHER)

    def show(name: str, frame: bytes) -> bytes:
        if name != "server_share":
            return frame
        share = ServerShare.parse(frame)
        certificate = made_up.certificate.encode()
        return ServerShare.build(
            Mode.TOFU,
            share.aead,
            share.edge_id,
            share.locator,
            share.observed,
            share.group,
            share.share,
            certificate,
        ).frame

    attacked = exchange(known={KNOWN: 0})
    attacked.tamper = show
    with pytest.raises(errors.BindingMismatch):
        attacked.run()


@pytest.mark.parametrize(
    ("key", "now", "why"),
    [
        (long_term(edge_id=8), NOW, "names edge 8"),
        (long_term(), NOW - 101, "not valid yet"),
        (long_term(), NOW + 100, "expired"),
    ],
    ids=["another edge's", "too early", "expired"],
)
def test_a_certificate_that_does_not_hold(key: LongTermKey, now: int, why: str) -> None:
    with pytest.raises(errors.CertificateRefused, match=why):
        exchange(key, now=now).run()


def test_every_changed_byte_of_a_certificate_is_refused() -> None:
    encoded = long_term().certificate.encode()
    for at in range(len(encoded)):
        changed = encoded[:at] + bytes([encoded[at] ^ 1]) + encoded[at + 1 :]
        with pytest.raises((errors.CertificateRefused, errors.MalformedMessage)):
            EdgeCertificate.parse(changed).verify(7, NOW)
    for cut in range(len(encoded)):
        with pytest.raises(errors.MalformedMessage):
            EdgeCertificate.parse(encoded[:cut])


def test_a_signature_for_another_purpose_is_no_certificate() -> None:
    genuine = long_term().certificate
    unlabelled = replace(genuine, signature=FLEET.sign(genuine.encode()[:-64]))
    with pytest.raises(errors.CertificateRefused):
        unlabelled.verify(7, NOW)


def test_a_known_host_whose_attackers_offer_opportunistic() -> None:
    """The edge's choice replaced by one that was not offered: refused before a nonce is sent."""

    def downgrade(name: str, frame: bytes) -> bytes:
        if name != "server_share":
            return frame
        share = ServerShare.parse(frame)
        return ServerShare.build(
            Mode.OPPORTUNISTIC,
            share.aead,
            share.edge_id,
            share.locator,
            share.observed,
            share.group,
            share.share,
        ).frame

    attacked = exchange(known={KNOWN: 0})
    attacked.tamper = downgrade
    with pytest.raises(errors.NoCommonMode):
        attacked.run()
    assert "client_nonce" not in attacked.wire


def test_a_certificate_of_more_days_than_a_client_takes_is_neither_made_nor_accepted() -> None:
    begins, share = NOW - 100, long_term().certificate.share
    longest = EdgeCertificate.issue(FLEET, 7, share, begins, begins + LIFETIME_LIMIT)
    longest.verify(7, NOW)
    with pytest.raises(ValueError, match="91 days"):
        EdgeCertificate.issue(FLEET, 7, share, begins, begins + LIFETIME_LIMIT + 1)
    for wrong in (
        replace(longest, not_after=longest.not_after + 1),
        replace(longest, floor=begins + 1),
    ):
        signed = replace(wrong, signature=FLEET.sign(LABEL + wrong.encode()[:-64]))
        with pytest.raises(errors.CertificateRefused, match=r"91 days|revoked"):
            signed.verify(7, NOW)


def test_a_certificate_from_before_the_newest_floor_is_revoked() -> None:
    """A stolen edge key: its certificate is valid for days, but the fleet has raised its floor since."""
    exchange(long_term(floor=NOW - 200), {KNOWN: NOW - 100}).run()
    stolen = exchange(known={KNOWN: NOW - 99})
    with pytest.raises(errors.CertificateRefused, match="revoked"):
        stolen.run()
    assert "finished_0" not in stolen.wire
    exchange(known={KNOWN: 0, ANOTHER: NOW}).run()  # the floor of another fleet key is not this one's


async def test_a_higher_floor_is_remembered_and_never_lowered(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    for floor, kept in ((0, 0), (LATER - 7300, LATER - 7300), (5, LATER - 7300)):
        key = long_term(FLEET, 1, LATER, LATER - 7200, floor)
        async with LoopbackEdge(ServerConfig(1, (Mode.TOFU,), long_term=key)) as edge:
            connection = await edge.connect(known_hosts=known)
            assert known.entries() == [KnownHost("127.0.0.1", KNOWN, floor=kept)]
            await connection.close()
    known.remember(KnownHost("127.0.0.1", KNOWN, floor=7))
    assert known.entries()[0].floor == LATER - 7300
    line = str(known.entries()[0])
    assert KnownHost.parse(line) == known.entries()[0]
    stolen = long_term(FLEET, 1, LATER, LATER - 7301)
    async with LoopbackEdge(ServerConfig(1, (Mode.TOFU,), long_term=stolen)) as edge:
        with pytest.raises(errors.CertificateRefused, match="revoked"):
            await edge.connect(known_hosts=known)


async def test_a_floor_that_cannot_be_saved_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    known.remember(KnownHost("127.0.0.1", KNOWN))

    def fail(self: KnownHosts, entry: KnownHost) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(KnownHosts, "remember", fail)
    key = long_term(FLEET, 1, LATER, LATER - 7200, 9)
    async with LoopbackEdge(ServerConfig(1, (Mode.TOFU,), long_term=key)) as edge:
        connection = await edge.connect(known_hosts=known)
        assert "floor and name key are not saved: Permission denied" in connection.report().notes[0]
        await connection.close()


def test_an_edge_without_a_certified_key_has_no_common_mode_with_a_client_that_knows_one() -> None:
    attacked = Exchange(config=ClientConfig(modes=(Mode.TOFU,), now=NOW))
    with pytest.raises(errors.NoCommonMode):
        attacked.run()


def test_an_edge_set_to_tofu_without_a_certified_key_refuses_rather_than_falling_back() -> None:
    bare = ServerConfig(7, (Mode.TOFU, Mode.OPPORTUNISTIC))
    with pytest.raises(errors.NoCommonMode, match="has no certified key"):
        Exchange(config=ClientConfig(modes=(Mode.TOFU, Mode.OPPORTUNISTIC)), server_config=bare).run()


def test_a_certificate_holds_from_its_first_second_until_its_last() -> None:
    certificate = long_term().certificate
    times = {NOW - 101: False, NOW - 100: True, NOW + 99: True, NOW + 100: False}
    assert {now: certificate.valid_at(now) for now in times} == times


@given(reply=st.binary(max_size=200))
def test_arbitrary_replies_on_path_0_change_nothing_on_path_1(reply: bytes) -> None:
    """Whatever comes on path 0, what goes out on path 1 is a matter of the client's entropy alone."""
    exchange = Exchange()
    before = exchange.client.client_nonce
    with pytest.raises(errors.SmkexError):
        exchange.client.receive(0, FrameType.SERVER_SHARE, encode_frame(FrameType.SERVER_SHARE, reply))
    assert exchange.client.client_nonce == before == Exchange().client.client_nonce


async def test_a_first_contact_is_remembered_and_a_changed_key_refused(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "sennit" / "known_hosts")

    def config(fleet: Ed25519PrivateKey) -> ServerConfig:
        key = long_term(fleet, 1, LATER, LATER - 7200)
        return ServerConfig(1, (Mode.TOFU, Mode.OPPORTUNISTIC), long_term=key)

    async with LoopbackEdge(config(FLEET)) as edge:
        first = await edge.connect(mode=Mode.TOFU, known_hosts=known)
        assert first.first_contact
        assert any("first use" in note for note in first.report().notes)
        assert known.entries("127.0.0.1") == [KnownHost("127.0.0.1", KNOWN)]
        assert stat.S_IMODE(known.path.stat().st_mode) == 0o600
        second = await edge.connect(known_hosts=known)
        assert second.session.established.mode is Mode.TOFU
        assert not second.first_contact
        with pytest.raises(errors.HostIsKnown):
            await edge.connect(mode=Mode.OPPORTUNISTIC, known_hosts=known)
        await first.close()
        await second.close()
    async with LoopbackEdge(config(OTHER)) as edge:
        with pytest.raises(errors.FleetKeyChanged):
            await edge.connect(known_hosts=known)
        assert known.entries() == [KnownHost("127.0.0.1", KNOWN)]
        known.remember(KnownHost("127.0.0.1", ANOTHER))
        accepted = await edge.connect(known_hosts=known)
        assert accepted.session.established.fleet_key == ANOTHER
        await accepted.close()
    assert len(known.entries()) == 2


async def test_a_handshake_that_fails_after_the_certificate_leaves_nothing_remembered(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    broken = replace(long_term(FLEET, 1, LATER, LATER - 7200), private_key=bytes([9]) * 32)
    async with LoopbackEdge(ServerConfig(1, (Mode.TOFU,), long_term=broken)) as edge:
        with pytest.raises(errors.MacMismatch):
            await edge.connect(mode=Mode.TOFU, known_hosts=known)
    assert known.entries() == []


async def test_a_pinned_host_is_dialled_nowhere_else(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    known.remember(KnownHost.parse(f"127.0.0.1 {KNOWN} 127.0.0.2"))
    async with LoopbackEdge(
        ServerConfig(1, (Mode.TOFU,), long_term=long_term(edge_id=1, until=LATER, begins=LATER - 7200))
    ) as edge:
        with pytest.raises(errors.AddressDisagrees, match=r"127\.0\.0\.2"):
            await edge.connect(known_hosts=known)
        assert not edge.sessions


def test_the_file_keeps_several_keys_of_a_host_and_removes_the_named_one(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    for entry in (
        KnownHost("a.example", KNOWN),
        KnownHost("a.example", ANOTHER),
        KnownHost("b.example", KNOWN),
    ):
        known.remember(entry)
    known.remember(KnownHost.parse(f"A.example {KNOWN} 203.0.113.1,2001:db8::1"))
    assert len(known.entries("a.Example")) == 2
    assert known.entries("a.example")[1].addresses != ()
    assert known.forget("a.example", ANOTHER) == 1
    assert known.forget("a.example") == 1
    assert known.forget("a.example") == 0
    assert [entry.host for entry in known.entries()] == ["b.example"]


@pytest.mark.parametrize(
    "line", ["a.example", f"a.example {KNOWN[:-1]}", f"a.example {KNOWN} 1.2.3", "a b c d"]
)
def test_a_damaged_line_is_named_and_nothing_is_lost(tmp_path: Path, line: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"# mine\n{line}\nb.example {KNOWN}\n")
    with pytest.raises(KnownHostsDamaged, match="line 2"):
        KnownHosts(path).entries("b.example")
    with pytest.raises(KnownHostsDamaged, match="line 2"):
        KnownHosts(path).remember(KnownHost("c.example", KNOWN))
    assert line in path.read_text()


async def test_by_default_tofu_is_used_where_the_edge_has_it_and_remembered_in_the_users_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SENNIT_KNOWN_HOSTS", str(tmp_path / "hosts"))
    key = long_term(FLEET, 1, LATER, LATER - 7200)
    both = ServerConfig(1, (Mode.TOFU, Mode.OPPORTUNISTIC), long_term=key)
    async with LoopbackEdge(both) as edge:
        options = replace(edge.options, known_hosts=KnownHosts.open_default())
        by_default = ConnectOptions().known_hosts
        assert by_default is not None
        assert by_default.path == tmp_path / "hosts"
        first = await smkex.connect("127.0.0.1", port=edge.port, options=options)
        assert first.report().mode == "tofu"
        assert KnownHosts(tmp_path / "hosts").entries() == [KnownHost("127.0.0.1", KNOWN)]
        edge.config = ServerConfig(1)
        with pytest.raises(errors.PeerAborted, match="no-common-mode"):
            await smkex.connect("127.0.0.1", port=edge.port, options=options)
    async with LoopbackEdge() as edge:
        plain = await edge.connect()
        assert plain.report().mode == "opportunistic"


async def test_a_key_that_cannot_be_saved_is_noted(tmp_path: Path) -> None:
    key = long_term(FLEET, 1, LATER, LATER - 7200)
    (tmp_path / "file").touch()
    async with LoopbackEdge(ServerConfig(1, (Mode.TOFU,), long_term=key)) as edge:
        unsaved = await edge.connect(known_hosts=KnownHosts(tmp_path / "file" / "hosts"))
        assert any("fleet key not saved" in note for note in unsaved.report().notes)
        without = await edge.connect(known_hosts=None)
        assert any("no known-hosts file" in note for note in without.report().notes)
