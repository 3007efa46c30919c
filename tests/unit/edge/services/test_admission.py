"""Who may use a service, and how much: each condition on both paths through the proxy."""

import asyncio
import os
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from cdn import Cdn, cdn
from hypothesis import given
from hypothesis import strategies as st
from one_service import put_in_force

from edge.services.active_service import ActiveService
from edge.services.admission.client_prefixes import ClientPrefixes
from edge.services.admission.pacing import SessionPacer
from edge.services.admission.rate_table import TOLERANCE, RateTable, create_rate_memory
from edge.services.admission.request_rates import RequestRates, TokenBucket
from edge.services.catalogue import ServiceCatalogue
from edge.services.preparation import PreparedCatalogue
from edge.services.served_connection import ServedConnection
from services.access import Access
from services.document import parse_document
from smkex.http.server.http1 import CONNECTION

CLIENT = "192.0.2.7"


async def ask(
    it: Cdn, connection: ServedConnection, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    """Ask the general path over `connection`; return status, fields and body."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "method": method,
        "raw_path": b"/a",
        "query_string": b"",
        "headers": [(b"host", b"cdn")],
        "client": (connection.client, 1),
        "extensions": {CONNECTION: connection},
    }
    await it.proxy(scope, receive, send)
    await it.settled()
    fields = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], fields, b"".join(message.get("body", b"") for message in sent[1:])


def fast(it: Cdn, connection: ServedConnection) -> bytes | None:
    return it.fast(b"GET /a HTTP/1.1\r\nHost: cdn\r\n\r\n", connection)


async def cached(it: Cdn) -> None:
    """Have /a in memory, asked for by a client that every document of these tests admits."""
    it.origin.headers = [("cache-control", "max-age=600")]
    admitted = ServedConnection("", "192.0.2.1", "tofu", lambda: True)
    for _ in range(2):
        assert (await ask(it, admitted))[0] == 200
    assert fast(it, admitted) is not None


@pytest.mark.parametrize(
    ("document", "connection", "status"),
    [
        ({"required": {"modes": ["tofu", "mtls"]}}, ServedConnection("", CLIENT, "opportunistic"), 403),
        ({"required": {"modes": ["tofu", "mtls"]}}, ServedConnection("", CLIENT, ""), 403),
        ({"required": {"modes": ["tofu"]}}, ServedConnection("", CLIENT, "tofu"), 200),
        ({"required": {"both_paths": True}}, ServedConnection("", CLIENT, "tofu", lambda: False), 403),
        ({"required": {"both_paths": True}}, ServedConnection("", CLIENT, "tofu", lambda: True), 200),
        (
            {"access": {"deny": ["192.0.2.0/24"], "allow": ["192.0.2.0/29"]}},
            ServedConnection("", CLIENT),
            200,
        ),
        (
            {"access": {"deny": ["192.0.2.7/32"], "allow": ["192.0.2.0/24"]}},
            ServedConnection("", CLIENT),
            403,
        ),
        ({"access": {"deny": ["192.0.2.7/32"]}}, ServedConnection("", "::ffff:192.0.2.7"), 403),
        ({"access": {"allow": ["192.0.2.0/24"]}}, ServedConnection("", "2001:db8::1"), 403),
        ({"access": {"deny": ["192.0.2.7/32"]}}, ServedConnection("", ""), 403),
    ],
)
async def test_a_client_is_admitted_on_both_paths_or_on_none(
    tmp_path: Path, document: dict[str, Any], connection: ServedConnection, status: int
) -> None:
    async with cdn(tmp_path, document) as it:
        await cached(it)
        assert (fast(it, connection) is not None) is (status == 200)
        for method in ("GET", "POST"):
            found, _, body = await ask(it, connection, method)
            assert found == status
        assert status == 200 or body.startswith(b"this service ")


async def test_the_second_path_may_be_confirmed_later(tmp_path: Path) -> None:
    async with cdn(tmp_path, {"required": {"both_paths": True}}) as it:
        await cached(it)
        confirmed = False
        connection = ServedConnection("", CLIENT, "tofu", lambda: confirmed)
        assert (await ask(it, connection))[0] == 403
        confirmed = True
        assert fast(it, connection) is not None


async def test_a_new_revision_examines_open_sessions_anew(tmp_path: Path) -> None:
    async with cdn(tmp_path, {}) as it:
        await cached(it)
        connection = ServedConnection("", CLIENT)
        assert fast(it, connection) is not None
        put_in_force(it.services, {"access": {"deny": [f"{CLIENT}/32"]}})
        assert fast(it, connection) is None
        assert (await ask(it, connection))[0] == 403


async def test_a_name_that_another_service_takes_ends_the_admission(tmp_path: Path) -> None:
    """The service of the Host is the same object as before; that of the server name is not."""
    async with cdn(tmp_path, {}) as it:
        await cached(it)
        connection = ServedConnection("www.cdn", CLIENT)
        assert fast(it, connection) is not None
        before = it.services.current

        class Owners:
            def find_owner(self, host: str) -> ActiveService | None:
                return before.services["shop"] if host == "cdn" else None

        it.services.activate(PreparedCatalogue(ServiceCatalogue(2, before.services, Owners()), ()))
        assert fast(it, connection) is None
        assert (await ask(it, connection))[0] == 421


async def test_too_many_requests_wait(tmp_path: Path) -> None:
    document = {"limits": {"requests_per_second": 0.001, "burst": 3}}
    async with cdn(tmp_path, document) as it:
        await cached(it)
        connection, neighbour = ServedConnection("", CLIENT), ServedConnection("", CLIENT)
        assert fast(it, connection) is not None
        assert (await ask(it, connection))[0] == 200
        assert fast(it, neighbour) is not None
        assert fast(it, neighbour) is None
        status, fields, _ = await ask(it, connection)
        assert status == 429
        assert 900 <= int(fields["retry-after"]) <= 1000
        assert fast(it, ServedConnection("", "192.0.2.8")) is not None


async def test_a_miss_takes_one_token(tmp_path: Path) -> None:
    async with cdn(tmp_path, {"limits": {"requests_per_second": 0.001, "burst": 1}}) as it:
        connection = ServedConnection("", CLIENT)
        assert fast(it, connection) is None
        assert (await ask(it, connection))[0] == 200


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "unix:", True),
    ],
)
def test_one_subscriber_line_has_one_bucket(one: str, other: str, is_same: bool) -> None:
    rates = RequestRates(RateTable.private(), "shop", 1, 1)
    assert rates.bucket_of(one).take_token(5.0)
    assert rates.bucket_of(other).take_token(5.0) is not is_same


def test_services_and_limits_have_buckets_of_their_own_and_a_revision_with_the_same_goes_on() -> None:
    table = RateTable.private()
    assert RequestRates(table, "shop", 1, 1).bucket_of(CLIENT).take_token(5.0)
    assert not RequestRates(table, "shop", 1, 1).bucket_of(CLIENT).take_token(5.5)
    assert RequestRates(table, "shop", 2, 1).bucket_of(CLIENT).take_token(5.5)
    assert RequestRates(table, "news", 1, 1).bucket_of(CLIENT).take_token(5.5)


def test_processes_take_from_one_bucket() -> None:
    memory = create_rate_memory()
    tables = [RateTable(memory), RateTable(memory)]
    os.close(memory)
    buckets = [RequestRates(table, "shop", 1, 5).bucket_of(CLIENT) for table in tables]
    assert [buckets[n % 2].take_token(9.0) for n in range(8)] == [True] * 5 + [False] * 3
    assert [bucket.retry_after for bucket in buckets] == [1, 1]


def test_more_prefixes_than_entries_replace_those_that_are_full_again_the_soonest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.services.admission.rate_table.ENTRIES", 64)
    table = RateTable.private()
    rates = RequestRates(table, "shop", 0.001, 1000)
    greedy = rates.bucket_of(CLIENT)
    while greedy.take_token(1.0):
        pass
    for number in range(1000):
        assert rates.bucket_of(str(ip_address(number))).take_token(1.0)
    assert not rates.bucket_of(CLIENT).take_token(1.0)


@given(st.lists(st.floats(0, 10), max_size=60), st.floats(0.1, 10), st.integers(1, 5))
def test_no_more_requests_pass_than_the_rate_allows(waits: list[float], rate: float, burst: int) -> None:
    bucket, now, passed = TokenBucket(RateTable.private(), 1, rate, burst), 0.0, 0
    for wait in waits:
        now += wait
        passed += bucket.take_token(now)
    assert passed <= burst + (now + TOLERANCE) * rate + 1e-6


@pytest.mark.parametrize("length", [10, 3_000_000])
async def test_a_session_is_served_no_faster_than_its_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    slept: list[float] = []
    rate = 100_000

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with cdn(tmp_path, {"limits": {"session_bytes_per_second": rate}}) as it:
        it.origin.body = bytes(length)
        connection = ServedConnection("", CLIENT)
        monkeypatch.setattr("edge.proxy.service_sending.asyncio.sleep", sleep)
        monkeypatch.setattr("edge.proxy.service_sending.time.monotonic", lambda: 1000.0 + sum(slept))
        status, _, body = await ask_without_settling(it, connection)
        monkeypatch.undo()
        assert (status, len(body)) == (200, length)
        assert sum(slept) == pytest.approx(max(0, length / rate - 1), abs=0.5)


async def ask_without_settling(it: Cdn, connection: ServedConnection) -> tuple[int, dict[str, str], bytes]:
    it.settled = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
    return await ask(it, connection)


async def test_the_fast_path_yields_to_a_session_that_is_ahead(tmp_path: Path) -> None:
    async with cdn(tmp_path, {"limits": {"session_bytes_per_second": 4096}}) as it:
        it.origin.body = bytes(12_000)
        await cached_with_pause(it)
        connection = ServedConnection("", CLIENT)
        assert fast(it, connection) is not None
        assert fast(it, connection) is None
        assert fast(it, ServedConnection("", CLIENT)) is not None


async def cached_with_pause(it: Cdn) -> None:
    it.origin.headers = [("cache-control", "max-age=600")]
    for _ in range(2):
        await ask(it, ServedConnection("", CLIENT))


def test_a_pacer_lets_one_second_pass_at_once() -> None:
    pacer = SessionPacer(1000)
    pacer.record_sent(1000, 5.0)
    assert pacer.delay(5.0) == 0
    pacer.record_sent(500, 5.0)
    assert pacer.delay(5.0) == pytest.approx(0.5)
    assert pacer.delay(6.0) == 0


NETWORKS = st.integers(0, 32).flatmap(
    lambda length: st.integers(0, 2**32 - 1).map(lambda bits: ip_network((bits, length), strict=False))
)


@given(st.sets(NETWORKS, max_size=8), st.sets(NETWORKS, max_size=8), st.integers(0, 2**32 - 1))
def test_the_most_specific_prefix_decides(allow: set[Any], deny: set[Any], bits: int) -> None:
    access = Access(allow=tuple(map(str, allow - deny)), deny=tuple(map(str, deny)))  # type: ignore[arg-type]
    address = ip_address(bits)
    found = [(net.prefixlen, net in access.allow) for net in (*access.allow, *access.deny) if address in net]
    expected = max(found)[1] if found else not access.allow
    assert ClientPrefixes(access).allows(str(address)) is expected


def test_a_prefix_is_allowed_or_denied() -> None:
    document = {"hostnames": ["a"], "origins": [{"name": "a", "url": "http://a"}]}
    with pytest.raises(ValueError, match="allow and deny"):
        parse_document({**document, "access": {"allow": ["10.0.0.0/8"], "deny": ["10.0.0.0/8"]}})
