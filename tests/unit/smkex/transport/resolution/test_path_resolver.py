"""Questions over UDP, TCP, TLS and HTTPS to servers with real sockets, honest and not."""

import base64
import hashlib
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import pytest
from certificates import identity
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dns_server import DnsServer

from smkex.transport.resolution import datagrams, https_exchange, path_resolver, tls_stream
from smkex.transport.resolution.path_resolver import PathResolver, encode_name
from smkex.transport.resolution.resolver_address import ResolverAddress

HOST = "cdn.example"
V4, V6 = "203.0.113.1", "2001:db8:5e::"
ZONE = {HOST: {"A": [V4], "AAAA": [V6]}, "empty.example": {"TXT": ["nothing else"]}}
BOTH = {ip_address(V4), ip_address(V6)}


async def ask(*servers: str, host: str = HOST) -> set[Any]:
    async with PathResolver([ResolverAddress.parse(one) for one in servers], "lo") as path:
        return await path.query_addresses(host)


def plain(server: DnsServer) -> str:
    return f"127.0.0.1:{server.port}"


@pytest.fixture(autouse=True)
def both_families_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the second answer may come later than a user would wait for it."""
    monkeypatch.setattr(path_resolver, "RESOLUTION_DELAY", 5.0)


@pytest.fixture
def short_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "TRIES", ((0.3, True), (0.3, False)))
    for module in (datagrams, tls_stream, https_exchange):
        monkeypatch.setattr(module, "STREAM_TIMEOUT", 0.3)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """For dns.example, of an authority that this process takes for one of the system's."""
    made = identity(tmp_path, "dns", "dns.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(made[0]))
    return made


async def test_both_families_are_asked_by_datagrams_with_random_ids_ports_and_case() -> None:
    seen: list[tuple[int, tuple[bytes, ...]]] = []

    def note(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
        seen.append((query.id, query.question[0].name.labels))
        return [answer.to_wire()]

    async with DnsServer(ZONE, change=note) as server:
        for _ in range(8):
            assert await ask(plain(server)) == BOTH
        assert server.asked == {("udp", "A"): 8, ("udp", "AAAA"): 8}
    assert len({number for number, _ in seen}) > 8
    assert len({labels for _, labels in seen}) > 4
    assert {tuple(label.lower() for label in labels) for _, labels in seen} == {(b"cdn", b"example", b"")}


async def test_a_truncated_answer_is_asked_for_again_by_tcp() -> None:
    async with DnsServer(ZONE, truncate=True) as server:
        assert await ask(plain(server)) == BOTH
        assert server.asked == {(how, kind): 1 for how in ("udp", "tcp") for kind in ("A", "AAAA")}


async def test_many_addresses_come_by_tcp_alone() -> None:
    many = {f"10.0.{n}.1" for n in range(200)}

    async with DnsServer({HOST: {"A": sorted(many)}}) as server:
        assert await ask(plain(server)) == set(map(ip_address, many))


async def test_answers_that_do_not_fit_the_question_are_passed_over() -> None:
    def forge(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
        good = answer.to_wire()
        name = query.question[0].name
        swapped = dns.name.Name(label.swapcase() for label in name.labels)
        kind = query.question[0].rdtype
        forged = []
        for asked in (swapped, dns.name.from_text("other.example")):
            lie = dns.message.make_response(dns.message.make_query(asked, kind, id=query.id))
            lie.answer.append(dns.rrset.from_text(asked, 60, "IN", "A", "198.51.100.66"))
            forged.append(lie.to_wire())
        wrong_id = bytes([good[0] ^ 1]) + good[1:]
        question = query.to_wire()  # not an answer at all
        return [b"", b"rubbish", bytes(5000), wrong_id, question, *forged, good]

    async with DnsServer(ZONE, change=forge) as server:
        assert await ask(plain(server)) == BOTH


@pytest.mark.usefixtures("short_tries")
async def test_a_flood_of_forged_answers_is_an_error_and_never_an_address() -> None:
    async with DnsServer(ZONE, change=lambda *_: [b"rubbish"] * 150) as server:
        with pytest.raises(OSError, match=r"they may be forged"):
            await ask(plain(server))


@pytest.mark.usefixtures("short_tries")
async def test_a_server_that_does_not_repeat_the_case_is_asked_once_more_without() -> None:
    def lower(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
        name = query.question[0].name.canonicalize()
        small = dns.message.make_response(dns.message.make_query(name, query.question[0].rdtype, id=query.id))
        small.answer = answer.answer
        return [small.to_wire()]

    async with DnsServer({"long-name-with-letters.example": {"A": [V4]}}, change=lower) as server:
        assert await ask(plain(server), host="long-name-with-letters.example") == {ip_address(V4)}
        assert server.asked["udp", "A"] == 2


@pytest.mark.usefixtures("short_tries")
async def test_a_silent_server_is_named_with_its_path() -> None:
    async with DnsServer(ZONE, change=lambda *_: []) as server:
        with pytest.raises(OSError, match=rf"127.0.0.1:{server.port} over lo does not answer"):
            await ask(plain(server))


@pytest.mark.usefixtures("short_tries")
async def test_the_next_server_is_asked_where_one_fails() -> None:
    async with DnsServer(ZONE, rcode="SERVFAIL") as failing, DnsServer(ZONE) as server:
        assert await ask(plain(failing), plain(server)) == BOTH


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
async def test_a_failure_is_named(rcode: str) -> None:
    async with DnsServer(ZONE, rcode=rcode) as server:
        with pytest.raises(OSError, match=rcode):
            await ask(plain(server))


@pytest.mark.parametrize("host", ["empty.example", "unknown.example"])
async def test_a_name_without_addresses_is_an_error(host: str) -> None:
    async with DnsServer(ZONE) as server:
        with pytest.raises(OSError, match=f"has no address of {host}"):
            await ask(plain(server), host=host)


async def test_aliases_are_followed_and_records_of_other_names_are_not_taken() -> None:
    zone = {HOST: {"CNAME": ["a.example."]}, "a.example": {"CNAME": ["b.example."]}, "b.example": {"A": [V4]}}

    def add(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
        answer.answer.append(dns.rrset.from_text("evil.example.", 60, "IN", "A", "198.51.100.66"))
        return [answer.to_wire()]

    async with DnsServer(zone, change=add) as server:
        assert await ask(plain(server)) == {ip_address(V4)}


async def test_a_loop_of_aliases_and_a_long_chain_end() -> None:
    loop = {HOST: {"CNAME": ["a.example."]}, "a.example": {"CNAME": [f"{HOST}."]}}
    chain = {f"c{n}.example": {"CNAME": [f"c{n + 1}.example."]} for n in range(12)}
    async with DnsServer(loop | chain) as server:
        for host in (HOST, "c0.example"):
            with pytest.raises(OSError, match="8 aliases"):
                await ask(plain(server), host=host)


async def test_over_tls_all_questions_share_a_connection(certificate: tuple[Path, Path]) -> None:
    async with DnsServer(ZONE, certificate=certificate) as server:
        assert await ask(f"tls://127.0.0.1:{server.tls_port}#dns.example") == BOTH
        assert server.connections == {"tls": 1}
        assert server.asked == {("tls", "A"): 1, ("tls", "AAAA"): 1}


async def test_over_tls_questions_are_padded(certificate: tuple[Path, Path]) -> None:
    lengths = set()

    def note(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
        lengths.add(len(query.wire or b""))
        return [answer.to_wire()]

    async with DnsServer(ZONE, change=note, certificate=certificate) as server:
        await ask(f"tls://127.0.0.1:{server.tls_port}#dns.example")
    assert lengths == {128}


async def test_answers_over_tls_may_come_in_any_order(
    certificate: tuple[Path, Path],
) -> None:
    held: list[bytes] = []

    def reverse(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
        held.append(answer.to_wire())
        return held[::-1] if len(held) == 2 else []

    async with DnsServer(ZONE, change=reverse, certificate=certificate) as server:
        assert await ask(f"tls://127.0.0.1:{server.tls_port}#dns.example") == BOTH


async def test_a_message_over_tls_that_answers_nothing_ends_the_connection(
    certificate: tuple[Path, Path],
) -> None:
    def other(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
        answer.id = (answer.id + 7) % 65536
        return [answer.to_wire()]

    async with DnsServer(ZONE, change=other, certificate=certificate) as server:
        with pytest.raises(OSError, match="answers no question"):
            await ask(f"tls://127.0.0.1:{server.tls_port}#dns.example")


@pytest.mark.parametrize("scheme", ["tls", "https"])
async def test_another_name_or_authority_is_refused_and_nothing_is_asked_in_clear(
    scheme: str, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with DnsServer(ZONE, certificate=certificate, https=scheme == "https") as server:
        with pytest.raises(OSError, match=r"(?i)hostname mismatch"):
            await ask(f"{scheme}://127.0.0.1:{server.tls_port}#other.example")
        with pytest.raises(OSError, match=r"(?i)mismatch"):
            await ask(f"{scheme}://127.0.0.1:{server.tls_port}")  # the certificate is not for the address
        monkeypatch.delenv("SSL_CERT_FILE")
        tls_stream.make_resolver_context.cache_clear()
        with pytest.raises(OSError, match="self-signed"):
            await ask(f"{scheme}://127.0.0.1:{server.tls_port}#dns.example")
        assert not server.asked


@pytest.mark.parametrize("scheme", ["tls", "https"])
async def test_a_pinned_key_needs_no_authority_and_another_key_is_refused(
    scheme: str, tmp_path: Path
) -> None:
    made = identity(tmp_path, "dns", "dns.example")
    key = x509.load_pem_x509_certificate(made[0].read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    wrong = base64.b64encode(bytes(32)).decode()
    async with DnsServer(ZONE, certificate=made, https=scheme == "https") as server:
        where = f"{scheme}://127.0.0.1:{server.tls_port}#sha256//"
        with pytest.raises(OSError, match="showed another public key"):
            await ask(where + wrong)
        assert not server.asked
        assert await ask(where + pin) == BOTH


async def test_plain_dns_at_the_port_of_tls_is_an_error(certificate: tuple[Path, Path]) -> None:
    async with DnsServer(ZONE) as server:
        with pytest.raises(OSError, match="over lo"):
            await ask(f"tls://127.0.0.1:{server.port}#dns.example")


@pytest.mark.usefixtures("short_tries")
@pytest.mark.parametrize("scheme", ["tls", "https"])
async def test_a_slow_resolver_over_tls_is_given_up(scheme: str, certificate: tuple[Path, Path]) -> None:
    slow = DnsServer(ZONE, change=lambda *_: [], certificate=certificate, https=scheme == "https")
    async with slow as server:
        with pytest.raises(OSError, match="does not answer"):
            await ask(f"{scheme}://127.0.0.1:{server.tls_port}#dns.example")


async def test_over_https_messages_are_posted(certificate: tuple[Path, Path]) -> None:
    ids = set()

    def note(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
        ids.add(query.id)
        return [answer.to_wire()]

    async with DnsServer(ZONE, change=note, certificate=certificate, https=True) as server:
        assert await ask(f"https://127.0.0.1:{server.tls_port}#dns.example") == BOTH
        assert server.asked == {("https", "A"): 1, ("https", "AAAA"): 1}
    assert ids == {0}


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 404 Not Found\r\ncontent-type: application/dns-message\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/dns-message\r\ncontent-encoding: gzip\r\n",
        b"HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1/\r\n",
        b"not HTTP\r\n",
    ],
)
async def test_what_is_no_answer_over_https_is_an_error(head: bytes, certificate: tuple[Path, Path]) -> None:
    async with DnsServer(ZONE, certificate=certificate, https=True) as server:
        server.response_head = head
        with pytest.raises(OSError, match="over lo: "):
            await ask(f"https://127.0.0.1:{server.tls_port}#dns.example")


async def test_an_answer_over_https_is_bounded(certificate: tuple[Path, Path]) -> None:
    big = DnsServer(ZONE, change=lambda *_: [bytes(70_000)], certificate=certificate, https=True)
    async with big as server:
        with pytest.raises(OSError, match="more than 65535 bytes"):
            await ask(f"https://127.0.0.1:{server.tls_port}#dns.example")


async def test_a_closed_port_is_an_error_with_the_kernels_reason() -> None:
    async with DnsServer(ZONE) as server:
        closed = server.port
    with pytest.raises(OSError, match="Connection refused"):
        await ask(f"127.0.0.1:{closed}")


async def test_a_name_that_dns_cannot_hold_is_an_error() -> None:
    with pytest.raises(OSError, match=r"too long|> 63|> 255"):
        encode_name(".".join(["a" * 63] * 5))
