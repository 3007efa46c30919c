"""Connections to a name with service records: what they seal, expect and refuse, and what they leave alone."""

import sys
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dns_server import DnsServer
from loopback import LoopbackEdge, until
from name_keys import FLEET, NEW, NEWEST, OLD, long_term

import smkex
from smkex.client.connection import Connection
from smkex.client.known_hosts import KnownHost, KnownHosts
from smkex.core import errors
from smkex.core.handshake.config import ServerConfig
from smkex.core.keys.certificate import fleet_key_fingerprint
from smkex.core.keys.name_key import NameKey, NamePrivateKey
from smkex.core.wire.messages import LocatorKind, Mode
from smkex.transport.resolution.discovery import FoundService
from smkex.transport.resolution.service_record import SvcbRecord

HOST = "cdn.example"
OTHER_FLEET = "SHA256:" + "A" * 43
ADDRESS = (IPv4Address("127.0.0.1"),)
RECORD = SvcbRecord(1, HOST, fleet_keys=frozenset({FLEET}), name_key=OLD.signed)
FOUND = FoundService(ADDRESS, RECORD, RECORD.fleet_keys)
Finds = Callable[[FoundService], None]


@pytest.fixture
def known(tmp_path: Path) -> KnownHosts:
    return KnownHosts(tmp_path / "known_hosts")


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> Finds:
    """Sets what both paths' resolvers answer."""

    def set_found(found: FoundService) -> None:
        async def find(*_: object) -> FoundService:
            return found

        monkeypatch.setattr(sys.modules["smkex.client.connect"], "find_service", find)

    return set_found


def edge_with(*keys: NamePrivateKey, modes: tuple[Mode, ...] = (Mode.TOFU,)) -> LoopbackEdge:
    return LoopbackEdge(ServerConfig(1, modes, long_term=long_term(1), name_keys=keys))


async def connect(edge: LoopbackEdge, known: KnownHosts | None, **options: object) -> Connection:
    given = replace(edge.options, known_hosts=known, **options)  # type: ignore[arg-type]
    return await smkex.connect(HOST, port=edge.port, options=given)


async def test_a_first_contact_seals_the_name_under_the_records_key(known: KnownHosts, finds: Finds) -> None:
    finds(FOUND)
    async with edge_with(OLD) as edge:
        connection = await connect(edge, known)
        assert connection.report().name == "sealed"
        await until(lambda: edge.sessions)
        assert edge.session.established.server_name == HOST
        await connection.close()
    assert known.entries(HOST) == [KnownHost(HOST, FLEET, name_key=OLD.signed)]


async def test_records_from_a_real_resolver_seal_the_name(known: KnownHosts) -> None:
    async with edge_with(OLD) as edge:
        owner = f"_{edge.port}._smkex.{HOST}"
        record = replace(RECORD, target="edges.example", id_port_base=edge.port)
        zone = {owner: {"SVCB": [record.to_text()]}, "edges.example": {"A": ["127.0.0.1"]}}
        async with DnsServer(zone) as server:
            where = {"lo": f"127.0.0.1:{server.port}"}
            connection = await connect(edge, known, resolvers=where, id_port_base=None)
            report = connection.report()
            assert (report.name, report.fleet_key) == ("sealed", FLEET)
            await until(lambda: edge.sessions)
            assert edge.session.established.server_name == HOST, "not the target's"
            await connection.close()
    assert known.entries(HOST) == [KnownHost(HOST, FLEET, name_key=OLD.signed)]


async def test_without_a_file_the_name_is_sealed_each_time(finds: Finds) -> None:
    finds(FOUND)
    async with edge_with(OLD) as edge:
        for _ in range(2):
            connection = await connect(edge, None)
            assert connection.report().name == "sealed"
            await connection.close()


async def test_a_record_from_before_a_rotation_costs_one_refusal(known: KnownHosts, finds: Finds) -> None:
    finds(FOUND)
    async with edge_with(NEWEST, NEW) as edge:
        connection = await connect(edge, known)
        assert connection.report().name == "sealed"
        assert edge.handshakes.failures == {"NameNotOpened": 1}
        await connection.close()
    assert known.entries(HOST) == [KnownHost(HOST, FLEET, name_key=NEWEST.signed)]


async def test_a_newer_key_of_a_remembered_fleet_is_taken_and_an_older_is_not(
    known: KnownHosts, finds: Finds
) -> None:
    known.remember(KnownHost(HOST, FLEET, name_key=NEW.signed))
    async with edge_with(NEWEST) as edge:
        finds(replace(FOUND, record=replace(RECORD, name_key=NEWEST.signed)))
        connection = await connect(edge, known)
        assert not edge.handshakes.failures, "sealed under the record's key at once"
        await connection.close()
    known.forget(HOST)
    known.remember(KnownHost(HOST, FLEET, name_key=NEW.signed))
    async with edge_with(NEW) as edge:
        finds(FOUND)
        connection = await connect(edge, known)
        assert not edge.handshakes.failures, "sealed under the remembered key"
        await connection.close()


async def test_the_edge_must_show_a_fleet_key_that_the_records_state(known: KnownHosts, finds: Finds) -> None:
    finds(FoundService(ADDRESS, None, frozenset({OTHER_FLEET})))
    async with edge_with() as edge:
        with pytest.raises(errors.FleetKeyChanged, match="DNS states"):
            await connect(edge, known)
    assert known.entries() == []


async def test_an_edge_without_a_certified_key_is_refused_where_records_state_one(finds: Finds) -> None:
    """Else an attacker on both paths had only to leave the certificate out."""
    finds(FoundService(ADDRESS, None, frozenset({FLEET})))
    async with edge_with(modes=(Mode.OPPORTUNISTIC,)) as edge:
        with pytest.raises(errors.PeerAborted):
            await connect(edge, None)
        await until(lambda: edge.handshakes.failures == {"NoCommonMode": 1})


async def test_what_is_remembered_counts_more_than_records(known: KnownHosts, finds: Finds) -> None:
    finds(FoundService(ADDRESS, None, frozenset({OTHER_FLEET})))
    known.remember(KnownHost(HOST, FLEET))
    async with edge_with() as edge:
        connection = await connect(edge, known)
        assert connection.report().fleet_key == FLEET
        await connection.close()
    known.forget(HOST)
    known.remember(KnownHost(HOST, OTHER_FLEET))
    finds(FOUND)
    async with edge_with(OLD) as edge:
        with pytest.raises(errors.FleetKeyChanged, match="remembered"):
            await connect(edge, known)
        assert edge.handshakes.failures == {}, "the record's name key is of a fleet that is not remembered"


async def test_a_mode_that_the_user_chose_is_kept(finds: Finds) -> None:
    finds(FOUND)
    async with edge_with(OLD, modes=(Mode.OPPORTUNISTIC,)) as edge:
        connection = await connect(edge, None, mode=Mode.OPPORTUNISTIC)
        assert connection.report().name == "clear"
        await connection.close()


async def test_a_name_key_of_another_fleet_key_than_the_shown_is_not_remembered(
    known: KnownHosts, finds: Finds
) -> None:
    """A fleet that changes its key states both, and the record's name key may be of the one that goes."""
    going = Ed25519PrivateKey.generate()
    signed = NameKey.issue(going, OLD.signed.public, 1)
    both = frozenset({FLEET, fleet_key_fingerprint(signed.fleet_key)})
    finds(FoundService(ADDRESS, SvcbRecord(1, HOST, fleet_keys=both, name_key=signed), both))
    async with edge_with(NamePrivateKey(OLD.private_key, signed)) as edge:
        connection = await connect(edge, known)
        assert connection.report().name == "sealed"
        await connection.close()
    assert known.entries(HOST) == [KnownHost(HOST, FLEET)]


async def test_port_and_locators_are_as_the_record_states(finds: Finds) -> None:
    async with LoopbackEdge() as edge:
        finds(FoundService(ADDRESS, SvcbRecord(1, HOST, edge.port, LocatorKind.PORT, edge.port)))
        options = replace(edge.options, id_port_base=None)
        connection = await smkex.connect(HOST, port=443, options=options)
        assert connection.target.service_port == edge.port
        await connection.close()


async def test_options_count_more_than_the_record(finds: Finds) -> None:
    async with LoopbackEdge() as edge:
        finds(FoundService(ADDRESS, SvcbRecord(1, HOST, None, LocatorKind.ADDRESS, 40_000)))
        connection = await connect(edge, None, locator=LocatorKind.PORT)
        assert connection.target.id_port_base == edge.port
        await connection.close()


async def test_what_was_not_used_is_in_the_report(finds: Finds) -> None:
    finds(FoundService(ADDRESS, notes=("service records not used: wifi0 has none",)))
    async with LoopbackEdge() as edge:
        connection = await connect(edge, None)
        assert "service records not used: wifi0 has none" in connection.report().notes
        await connection.close()
