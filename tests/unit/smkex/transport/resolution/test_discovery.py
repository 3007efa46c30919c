"""What both paths' resolvers must agree on: addresses, service records, fleet keys."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from certificates import identity
from dns_server import Change, DnsServer
from name_keys import FLEET, OLD

from smkex.core.errors import AddressDisagrees
from smkex.core.wire.messages import LocatorKind
from smkex.transport.resolution import discovery
from smkex.transport.resolution.discovery import FoundService, find_service_by
from smkex.transport.resolution.path_resolver import PathResolver
from smkex.transport.resolution.resolver_address import ResolverAddress
from smkex.transport.resolution.service_record import SvcbRecord
from smkex.transport.resolution.silent_resolvers import LIFETIME, LIMIT, SILENCES, SilentResolvers

HOST, OWNER = "cdn.example", "_smkex.cdn.example"
V4, OTHER_V4 = "203.0.113.1", "203.0.113.2"
OTHER_FLEET = "SHA256:" + "A" * 43
RECORD = SvcbRecord(1, HOST, 8443, LocatorKind.ADDRESS, fleet_keys=frozenset({FLEET}), name_key=OLD.signed)
NEWER = replace(RECORD, port=9443)
FORGED = SvcbRecord(1, HOST, fleet_keys=frozenset({OTHER_FLEET}))


def zone(*records: SvcbRecord | str, **addresses: str) -> dict[str, dict[str, Sequence[str]]]:
    """The host's addresses, its service records, and other names (underscores for dots)."""
    made: dict[str, dict[str, Sequence[str]]] = {HOST: {"A": [V4]}}
    if records:
        made[OWNER] = {"SVCB": [one if isinstance(one, str) else one.to_text() for one in records]}
    return made | {name.replace("_", "."): {"A": [address]} for name, address in addresses.items()}


class Resolvers:
    """Two servers, each asked as one path's."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.servers: list[DnsServer] = []

    async def start(self, *zones: Mapping[str, Any], **options: Any) -> None:
        for one in zones:
            self.servers.append(await self._stack.enter_async_context(DnsServer(one, **options)))

    async def find(self, *zones: Mapping[str, Any], port: int = 443, **options: Any) -> FoundService:
        await self.start(*zones, **options)
        return await self.ask(*(f"127.0.0.1:{server.port}" for server in self.servers), port=port)

    @property
    def plain(self) -> tuple[str, str]:
        first, second = (f"127.0.0.1:{server.port}" for server in self.servers)
        return first, second

    async def ask(self, first: str, second: str, port: int = 443) -> FoundService:
        async with (
            PathResolver([ResolverAddress.parse(first)], "lo") as one,
            PathResolver([ResolverAddress.parse(second)], "lo") as other,
        ):
            return await find_service_by((one, other), HOST, port)


@pytest.fixture
async def resolvers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Resolvers]:
    for name in ("RECORDS_DELAY", "RECORDS_DELAY_LIMIT"):  # that no test waits for nothing, or too little
        monkeypatch.setattr(discovery, name, 20.0)
    monkeypatch.setattr(discovery, "_silent_resolvers", SilentResolvers())
    async with AsyncExitStack() as stack:
        yield Resolvers(stack)


def dropping(*kinds: str) -> Change:
    """Questions of these kinds get no answer."""
    return lambda query, answer: (
        [] if dns.rdatatype.to_text(query.question[0].rdtype) in kinds else [answer.to_wire()]
    )


def refusing(kind: str) -> Change:
    def refuse(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
        if dns.rdatatype.to_text(query.question[0].rdtype) == kind:
            answer.set_rcode(dns.rcode.NOTIMP)
            answer.answer.clear()
        return [answer.to_wire()]

    return refuse


async def test_without_records_the_addresses_count_alone(resolvers: Resolvers) -> None:
    assert await resolvers.find(zone(), zone()) == FoundService((ip_address(V4),))
    assert [server.asked["udp", "SVCB"] for server in resolvers.servers] == [1, 1]


async def test_a_record_that_both_have_counts(resolvers: Resolvers) -> None:
    found = await resolvers.find(zone(RECORD), zone(RECORD))
    assert found == FoundService((ip_address(V4),), RECORD, frozenset({FLEET}))


async def test_of_several_the_best_that_both_have_counts(resolvers: Resolvers) -> None:
    """As in a rotation, while one resolver has the older answer."""
    first = replace(NEWER, priority=1)
    last = replace(RECORD, priority=2)
    found = await resolvers.find(zone(first, last), zone(last))
    assert found.record == last
    assert found.notes == ()


async def test_records_that_contradict_each_other_are_refused(resolvers: Resolvers) -> None:
    with pytest.raises(AddressDisagrees, match="share no service record"):
        await resolvers.find(zone(RECORD), zone(NEWER))


@pytest.mark.parametrize("without", [0, 1])
async def test_a_record_of_one_path_alone_states_only_the_fleet_key(
    without: int, resolvers: Resolvers
) -> None:
    zones = [zone(RECORD), zone(RECORD)]
    zones[without] = zone()
    found = await resolvers.find(*zones)
    assert (found.record, found.fleet_keys) == (None, {FLEET})
    assert "service records not used" in found.notes[0]
    assert "there are none" in found.notes[0]


async def test_fleet_keys_that_contradict_each_other_are_refused(resolvers: Resolvers) -> None:
    common = SvcbRecord(1, HOST)
    with pytest.raises(AddressDisagrees, match="different fleet keys"):
        await resolvers.find(zone(common, FORGED), zone(common, RECORD))


async def test_only_fleet_keys_that_both_paths_allow_are_expected(resolvers: Resolvers) -> None:
    both = replace(RECORD, fleet_keys=frozenset({FLEET, OTHER_FLEET}))
    found = await resolvers.find(zone(both, RECORD), zone(RECORD))
    assert found.fleet_keys == {FLEET}


@pytest.mark.parametrize("change", [dropping("SVCB"), refusing("SVCB")])
async def test_a_plain_resolver_that_knows_no_records_costs_a_moment(
    change: Change, resolvers: Resolvers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "RECORDS_DELAY", 0.2)
    monkeypatch.setattr(discovery, "RECORDS_DELAY_LIMIT", 0.2)
    await resolvers.start(zone(RECORD))
    await resolvers.start(zone(RECORD), change=change)
    found = await resolvers.ask(*resolvers.plain)
    assert (found.record, found.addresses) == (None, (ip_address(V4),))
    assert re.search(r"by lo (no answer in time|.*NOTIMP)", found.notes[0])


async def test_a_plain_resolver_that_stays_silent_about_records_is_no_more_waited_for(
    resolvers: Resolvers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked all the same. What the other path states of fleet keys counts, as without the memory."""
    await resolvers.start(zone(RECORD))
    await resolvers.start(zone(RECORD), change=dropping("SVCB"))
    with monkeypatch.context() as short:
        short.setattr(discovery, "RECORDS_DELAY", 0.05)
        short.setattr(discovery, "RECORDS_DELAY_LIMIT", 0.05)
        for _ in range(SILENCES):
            await resolvers.ask(*resolvers.plain)
    async with asyncio.timeout(10):  # the delay is 20 s now
        found = await resolvers.ask(*resolvers.plain)
    assert (found.record, found.fleet_keys) == (None, {FLEET})
    assert "no answer in time" in found.notes[0]
    assert resolvers.servers[1].asked["udp", "SVCB"] == SILENCES + 1


async def test_the_other_path_is_waited_for_although_one_is_known_to_be_silent(
    resolvers: Resolvers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await resolvers.start(zone(FORGED))
    await resolvers.start(zone(RECORD), change=dropping("SVCB"))
    with monkeypatch.context() as short:
        short.setattr(discovery, "RECORDS_DELAY", 0.05)
        short.setattr(discovery, "RECORDS_DELAY_LIMIT", 0.05)
        for _ in range(SILENCES):
            await resolvers.ask(*resolvers.plain)
    assert (await resolvers.ask(*resolvers.plain)).fleet_keys == {OTHER_FLEET}


def test_silence_counts_in_turn_and_is_forgotten() -> None:
    silent = SilentResolvers()
    for now in (0.0, 1.0):
        silent.note_silence("a", now)
    silent.note_answer("a")
    for now in (2.0, 3.0, 4.0):
        assert not silent.is_silent("a", now)
        silent.note_silence("a", now)
    assert silent.is_silent("a", 5.0)
    assert not silent.is_silent("b", 5.0)
    silent.note_silence("a", 5.0)  # what is not waited for is no news
    assert not silent.is_silent("a", 4.0 + LIFETIME)
    silent.note_silence("a", 4.0 + LIFETIME)
    assert not silent.is_silent("a", 5.0 + LIFETIME)


def test_silent_resolvers_are_bounded_in_number() -> None:
    silent = SilentResolvers()
    for way in range(3 * LIMIT):
        silent.note_silence(way, 0.0)
    assert len(silent) == LIMIT


async def test_a_protected_resolver_has_to_answer_about_records(
    resolvers: Resolvers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else breaking a connection would take the seal off the name (RFC 9460 section 3.1)."""
    certificate = identity(tmp_path, "dns", "dns.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    await resolvers.start(zone(RECORD))
    await resolvers.start(zone(RECORD), certificate=certificate, change=refusing("SVCB"))
    plain = f"127.0.0.1:{resolvers.servers[0].port}"
    protected = f"tls://127.0.0.1:{resolvers.servers[1].tls_port}#dns.example"
    with pytest.raises(OSError, match="NOTIMP"):
        await resolvers.ask(plain, protected)
    resolvers.servers[1].change = dropping()
    assert (await resolvers.ask(plain, protected)).record == RECORD


async def test_one_malformed_record_means_none(resolvers: Resolvers) -> None:
    broken = f"2 {HOST}. key65280=\\009"
    found = await resolvers.find(zone(RECORD, broken), zone(RECORD))
    assert found.record is None
    assert "key65280" in found.notes[0]


async def test_the_record_names_where_the_addresses_are(resolvers: Resolvers) -> None:
    elsewhere = replace(RECORD, target="edges.example")
    one = zone(elsewhere, edges_example=OTHER_V4)
    del one[HOST]  # a name may have service records alone
    assert (await resolvers.find(one, one)).addresses == (ip_address(OTHER_V4),)


async def test_the_addresses_of_the_target_have_to_agree_too(resolvers: Resolvers) -> None:
    elsewhere = replace(RECORD, target="edges.example")
    with pytest.raises(AddressDisagrees, match=r"no address of edges\.example"):
        await resolvers.find(zone(elsewhere, edges_example=V4), zone(elsewhere, edges_example=OTHER_V4))


async def test_an_alias_is_followed_to_the_records_of_another_name(resolvers: Resolvers) -> None:
    alias = zone("0 _smkex.provider.example.") | {
        "_smkex.provider.example": {"SVCB": [replace(RECORD, target="edges.example").to_text()]},
        "edges.example": {"A": [OTHER_V4]},
    }
    found = await resolvers.find(alias, alias)
    assert found.addresses == (ip_address(OTHER_V4),)
    assert found.fleet_keys == {FLEET}


async def test_an_alias_to_a_name_without_records_leads_to_its_addresses(resolvers: Resolvers) -> None:
    alias = zone("0 edges.example.", edges_example=OTHER_V4)
    assert (await resolvers.find(alias, alias)).addresses == (ip_address(OTHER_V4),)


async def test_an_alias_to_nowhere_says_that_there_is_no_service(resolvers: Resolvers) -> None:
    with pytest.raises(OSError, match="no such service"):
        await resolvers.find(zone("0 ."), zone("0 ."))


async def test_a_loop_of_aliases_ends(resolvers: Resolvers) -> None:
    loop = zone(f"0 {OWNER}.")
    found = await resolvers.find(loop, loop)
    assert found == FoundService((ip_address(V4),))
    assert resolvers.servers[0].asked["udp", "SVCB"] == 9


async def test_another_port_has_its_own_records(resolvers: Resolvers) -> None:
    own = zone() | {f"_8443.{OWNER}": {"SVCB": [RECORD.to_text()]}}
    assert (await resolvers.find(own, own, port=8443)).record == RECORD


async def test_addresses_have_to_agree_whatever_the_records_say(resolvers: Resolvers) -> None:
    lying = zone(RECORD) | {HOST: {"A": [OTHER_V4]}}
    with pytest.raises(AddressDisagrees, match="share no address"):
        await resolvers.find(zone(RECORD), lying)


async def test_a_path_without_addresses_is_the_error_that_is_raised(resolvers: Resolvers) -> None:
    with pytest.raises(OSError, match=f"no address of {HOST}"):
        await resolvers.find(zone(), {"elsewhere.example": {"A": [V4]}})
