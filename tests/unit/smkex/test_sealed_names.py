"""Connections whose server name is sealed: what clients learn, keep, and do when an edge has other keys."""

import logging
import sys
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from loopback import LoopbackEdge, two_neighbouring_ports, until
from name_keys import FLEET, NEW, NEWEST, OLD, long_term

import smkex
from smkex.client.connection import Connection
from smkex.client.explain import explain_error
from smkex.client.known_hosts import KnownHost, KnownHosts, KnownHostsDamaged
from smkex.core import errors
from smkex.core.handshake.config import ServerConfig
from smkex.core.keys.certificate import fleet_key_fingerprint
from smkex.core.keys.keyfile import certificate_pem, name_keys_text, private_pem
from smkex.core.keys.name_key import NameKey, NamePrivateKey
from smkex.core.wire.messages import Mode
from smkex.server.identity import Identity, IdentityUnusable, load_name_keys
from smkex.transport.resolution.discovery import FoundService

HOST = "cdn.example"
OTHER_FLEET = "SHA256:" + "A" * 43


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> KnownHosts:
    """The client's file; its host resolves to the loopback, and the log describes each message."""

    async def find(*_: object) -> FoundService:
        return FoundService((IPv4Address("127.0.0.1"),))

    monkeypatch.setattr(sys.modules["smkex.client.connect"], "find_service", find)
    caplog.set_level(logging.DEBUG, "smkex.transport.exchange")
    return KnownHosts(tmp_path / "known_hosts")


def edge_with(*keys: NamePrivateKey) -> LoopbackEdge:
    return LoopbackEdge(ServerConfig(1, (Mode.TOFU,), long_term=long_term(1), name_keys=keys))


async def connect(edge: LoopbackEdge, known: KnownHosts) -> Connection:
    options = replace(edge.options, known_hosts=known)
    return await smkex.connect(HOST, port=edge.port, options=options)


async def report_of(edge: LoopbackEdge, known: KnownHosts) -> str:
    """How the name travelled, by the report of a connection."""
    before = len(edge.sessions)
    connection = await connect(edge, known)
    await until(lambda: len(edge.sessions) > before)
    assert edge.session.established.server_name == HOST
    said = connection.report()
    assert f"name {said.name}" in said.text()
    await connection.close()
    return said.name


class RotateOnFailure(Counter[str]):
    """The count of an edge's failures; with the first its configuration is another."""

    def __init__(self, edge: LoopbackEdge, config: ServerConfig) -> None:
        super().__init__()
        self._edge, self._config = edge, config

    def __setitem__(self, name: str, count: int) -> None:
        super().__setitem__(name, count)
        self._edge.config = self._config


def remember(known: KnownHosts, key: NamePrivateKey) -> None:
    known.remember(KnownHost(HOST, FLEET, name_key=key.signed))


def keeps(known: KnownHosts, key: NamePrivateKey) -> bool:
    return known.entries(HOST) == [KnownHost(HOST, FLEET, name_key=key.signed)]


async def test_a_first_contact_shows_the_name_and_later_ones_seal_it(
    known: KnownHosts, caplog: pytest.LogCaptureFixture
) -> None:
    async with edge_with(OLD) as edge:
        assert await report_of(edge, known) == "clear"
        assert keeps(known, OLD)
        assert "name clear" in caplog.text
        caplog.clear()
        assert await report_of(edge, known) == "sealed"
        assert "name sealed" in caplog.text
        assert "name clear" not in caplog.text


async def test_a_host_known_from_before_there_were_keys_learns_one(known: KnownHosts) -> None:
    known.remember(KnownHost(HOST, FLEET))
    async with edge_with(OLD) as edge:
        assert await report_of(edge, known) == "clear"
    assert keeps(known, OLD)


async def test_in_a_rotation_clients_change_over_without_a_refusal(known: KnownHosts) -> None:
    remember(known, OLD)
    async with edge_with(NEW, OLD) as edge:
        assert await report_of(edge, known) == "sealed"
        assert not edge.handshakes.failures
    assert keeps(known, NEW)


async def test_a_key_that_is_gone_is_refused_and_the_new_one_tried_once(
    known: KnownHosts, caplog: pytest.LogCaptureFixture
) -> None:
    remember(known, OLD)
    async with edge_with(NEWEST, NEW) as edge:
        assert await report_of(edge, known) == "sealed"
        assert edge.handshakes.failures == {"NameNotOpened": 1}
    assert keeps(known, NEWEST)
    assert "name clear" not in caplog.text


@pytest.mark.parametrize("keys", [(), (OLD,)], ids=["no key", "an older key"])
async def test_it_never_falls_back_to_the_name_in_clear(
    known: KnownHosts, caplog: pytest.LogCaptureFixture, keys: tuple[NamePrivateKey, ...]
) -> None:
    remember(known, NEW)
    async with edge_with(*keys) as edge:
        with pytest.raises(errors.PeerAborted, match="name-not-opened") as refused:
            await connect(edge, known)
        assert edge.handshakes.failures == {"NameNotOpened": 1}
    assert "known-hosts remove" in explain_error(refused.value).hint
    assert keeps(known, NEW)
    assert "name clear" not in caplog.text


async def test_a_second_refusal_is_final(known: KnownHosts) -> None:
    """An edge that has yet another key when the client comes again."""
    remember(known, OLD)
    async with edge_with(NEW) as edge:
        later = edge_with(NEWEST).config
        edge.handshakes.failures = RotateOnFailure(edge, later)
        with pytest.raises(errors.PeerAborted, match="name-not-opened"):
            await connect(edge, known)
        assert edge.handshakes.failures == {"NameNotOpened": 2}
    assert keeps(known, OLD)


async def test_the_name_key_of_another_fleet_is_not_saved_with_this_one(known: KnownHosts) -> None:
    """The host has two entries, and the edges have moved from one fleet to the other with their name key."""
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    shown = NameKey.issue(other, NEW.signed.public, 5)
    fingerprint = fleet_key_fingerprint(shown.fleet_key)
    known.remember(KnownHost(HOST, fingerprint, name_key=shown))
    known.remember(KnownHost(HOST, FLEET))
    async with edge_with(NEW) as edge:
        assert await report_of(edge, known) == "sealed"
    assert {entry.fingerprint: entry.name_key for entry in known.entries()} == {
        fingerprint: shown,
        FLEET: None,
    }


def test_known_hosts_keep_the_newest_key_and_refuse_what_the_fleet_has_not_signed(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    for key in (OLD, NEW, OLD):
        known.remember(KnownHost(HOST, FLEET, (ip_address("192.0.2.1"),), 7, key.signed))
    known.remember(KnownHost(HOST, FLEET, floor=5))
    (entry,) = known.entries()
    assert (entry.floor, entry.name_key) == (7, NEW.signed)
    assert KnownHost.parse(str(entry)) == entry
    with pytest.raises(ValueError, match=f"signed by {FLEET}"):
        KnownHost(HOST, OTHER_FLEET, name_key=NEW.signed)
    for damaged in ("name-key=", "name-key=!", f"name-key={'A' * 184}"):
        known.path.write_text(f"{HOST} {FLEET} {damaged}\n")
        with pytest.raises(KnownHostsDamaged, match="line 1: not a name key"):
            known.entries()


def test_an_edge_starts_with_name_keys_of_its_own_fleet_alone(tmp_path: Path) -> None:
    file, certified = tmp_path / "name.keys", long_term(1)
    assert load_name_keys(None, None) == ()
    file.write_text(name_keys_text([NEW, OLD]))
    assert load_name_keys(file, certified) == (NEW, OLD)
    assert Identity(1, certified, name_keys=(NEW,)).config().name_keys == (NEW,)
    expired = Identity(1, certified, clock=lambda: 0.0, name_keys=(NEW,))
    assert expired.config().name_keys == ()
    other = replace(certified, certificate=replace(certified.certificate, fleet_key=bytes(32)))
    for arguments, why in (
        ((file, None), "needs --tofu-key"),
        ((tmp_path / "missing", certified), "No such file"),
        ((file, other), "another fleet key"),
    ):
        with pytest.raises(IdentityUnusable, match=why):
            load_name_keys(*arguments)
    file.write_bytes(b"\xff")
    with pytest.raises(IdentityUnusable, match=r"name\.keys"):
        load_name_keys(file, certified)


async def test_a_program_that_serves_takes_name_keys(tmp_path: Path, known: KnownHosts) -> None:
    certified, port = long_term(1), two_neighbouring_ports()
    key, certificate, names = (tmp_path / name for name in ("key", "certificate", "name.keys"))
    key.write_bytes(private_pem(X25519PrivateKey.from_private_bytes(certified.private_key)))
    certificate.write_text(certificate_pem(certified.certificate))
    names.write_text(name_keys_text([NEW]))
    files = smkex.ServerOptions(
        id_port_base=port, tofu_key=key, tofu_certificate=certificate, name_keys=names
    )

    async def wait_for_the_end(connection: smkex.AcceptedConnection) -> None:
        await connection.reader.read()

    options = smkex.ConnectOptions(
        paths=["lo"], id_port_base=port, allow_shared_path=True, known_hosts=known, mode=Mode.TOFU
    )
    async with await smkex.start_server(wait_for_the_end, "127.0.0.1", port, options=files):
        for name in ("clear", "sealed"):
            connection = await smkex.connect(HOST, port=port, options=options)
            assert connection.report().name == name
            await connection.close()
