"""Connections to resolvers over TLS and HTTPS stay open between look-ups, and a dead one costs no look-up."""

import asyncio
import gc
import warnings
from ipaddress import ip_address
from pathlib import Path

import pytest
from certificates import identity
from dns_server import Change, DnsServer, send_unchanged
from loopback import until

from smkex.transport.resolution import kept_exchanges
from smkex.transport.resolution.dns_stream import UNANSWERED_LIMIT
from smkex.transport.resolution.kept_exchanges import running_keeper
from smkex.transport.resolution.path_resolver import PathResolver
from smkex.transport.resolution.resolver_address import ResolverAddress
from smkex.transport.resolution.tls_identity import make_resolver_context

HOST, V4 = "cdn.example", "203.0.113.1"
ZONE = {HOST: {"A": [V4]}}


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    made = identity(tmp_path, "dns", "dns.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(made[0]))
    make_resolver_context.cache_clear()
    return made


@pytest.fixture(params=["tls", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def serving(certificate: tuple[Path, Path], scheme: str, change: Change = send_unchanged) -> DnsServer:
    return DnsServer(ZONE, certificate=certificate, https=scheme == "https", change=change)


def address_of(server: DnsServer, scheme: str) -> ResolverAddress:
    return ResolverAddress.parse(f"{scheme}://127.0.0.1:{server.tls_port}#dns.example")


async def look_up(server: DnsServer, scheme: str) -> None:
    async with PathResolver([address_of(server, scheme)], "lo") as path:
        assert await path.query_addresses(HOST) == {ip_address(V4)}


async def test_a_later_look_up_uses_the_connection_of_an_earlier(
    certificate: tuple[Path, Path], scheme: str
) -> None:
    async with serving(certificate, scheme) as server:
        await look_up(server, scheme)
        opened = server.connections[scheme]  # HTTP/1.1 has one for each question at a time
        for _ in range(3):
            await look_up(server, scheme)
        assert server.connections[scheme] == opened
        assert server.asked[scheme, "A"] == 4


async def test_look_ups_at_one_time_share_a_connection(certificate: tuple[Path, Path]) -> None:
    async with serving(certificate, "tls") as server:
        await asyncio.gather(*(look_up(server, "tls") for _ in range(5)))
        assert server.connections["tls"] == 1
        assert len(running_keeper()) == 1


async def test_a_connection_that_the_resolver_has_closed_is_replaced(
    certificate: tuple[Path, Path], scheme: str
) -> None:
    async with serving(certificate, scheme) as server:
        await look_up(server, scheme)
        opened = server.connections[scheme]
        server.disconnect()
        await look_up(server, scheme)
        assert server.connections[scheme] > opened


async def test_a_connection_that_has_died_silently_is_replaced(
    certificate: tuple[Path, Path], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_exchanges, "REUSED_TIMEOUT", 0.2)
    async with serving(certificate, scheme) as server:
        await look_up(server, scheme)
        opened = server.connections[scheme]
        # what comes by the connections of before is lost
        server.change = lambda query, answer: (
            [answer.to_wire()] if server.connections[scheme] > opened else []
        )
        await look_up(server, scheme)
        assert server.connections[scheme] > opened


async def test_a_resolver_that_has_become_another_is_refused_and_never_asked_in_clear(
    certificate: tuple[Path, Path], scheme: str, tmp_path: Path
) -> None:
    """The fresh connection is authenticated as the first was."""
    other = tmp_path / "other"
    other.mkdir()
    async with serving(certificate, scheme) as server:
        await look_up(server, scheme)
        asked = server.asked.copy()
        server.show_certificate(identity(other, "dns", "dns.example"))
        server.disconnect()
        with pytest.raises(OSError, match="self-signed"):
            await look_up(server, scheme)
        assert server.asked == asked
        assert not len(running_keeper())


async def test_a_connection_that_has_not_answered_is_not_kept(
    certificate: tuple[Path, Path], scheme: str
) -> None:
    async with serving(certificate, scheme, lambda *_: [b"rubbish"]) as server:
        with pytest.raises(OSError, match=r"malformed|answers no question"):
            await look_up(server, scheme)
        assert not len(running_keeper())


async def test_kept_connections_are_bounded_in_number(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_exchanges, "KEPT_LIMIT", 2)
    async with (
        serving(certificate, "tls") as one,
        serving(certificate, "tls") as two,
        serving(certificate, "tls") as three,
    ):
        for server in (one, two, one, three):
            await look_up(server, "tls")
        assert len(running_keeper()) == 2
        await look_up(one, "tls")
        assert one.connections["tls"] == 1  # used after the second server's
        await look_up(two, "tls")
        assert two.connections["tls"] == 2


async def test_kept_connections_are_closed_when_nothing_was_asked_for_a_time(
    certificate: tuple[Path, Path], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_exchanges, "IDLE_TIMEOUT", 0.2)
    async with serving(certificate, scheme) as server:
        await look_up(server, scheme)
        await until(lambda: not len(running_keeper()))
        await until(lambda: not server.open_connections)


async def test_questions_that_never_get_an_answer_are_bounded(certificate: tuple[Path, Path]) -> None:
    """One for each look-up, given up when the other family has an address."""

    def without_aaaa(query: object, answer: object) -> list[bytes]:
        return [] if "AAAA" in str(query) else send_unchanged(query, answer)  # type: ignore[arg-type,return-value]

    async with serving(certificate, "tls", without_aaaa) as server:
        path = PathResolver([address_of(server, "tls")], "lo")
        async with path:
            for _ in range(UNANSWERED_LIMIT // 4):
                await asyncio.gather(*(look_up(server, "tls") for _ in range(5)), return_exceptions=True)
        await look_up(server, "tls")
        assert server.connections["tls"] == 2


def test_the_end_of_a_loop_closes_what_it_kept(certificate: tuple[Path, Path]) -> None:
    servers: list[DnsServer] = []

    async def ask_once() -> None:
        async with serving(certificate, "tls") as server:
            servers.append(server)
            await look_up(server, "tls")
            assert len(running_keeper()) == 1

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(ask_once())
        gc.collect()
