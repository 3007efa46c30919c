"""Mode mtls: TLS 1.3 on path 0, the second path's binding over it, and what must be refused."""

import asyncio
import contextlib
import hashlib
import ipaddress
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from certificates import identity
from cryptography.hazmat.primitives.asymmetric import ec
from loopback import LoopbackEdge, digest_of
from OpenSSL import SSL

from smkex.client import drains
from smkex.core import errors
from smkex.core.handshake import tls
from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ClientConfig, ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.handshake.server_info import ClientInfo, ServerInfo
from smkex.core.handshake.tls import RECORD_HEADER, TlsClient, TlsServer, client_context, server_context
from smkex.core.keys.key_schedule import commit_to_nonce
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Aead, Endpoint, LocatorKind, Mode, Observation
from smkex.core.wire.named_group import NamedGroup

SEEN = Observation(7, Endpoint(ipaddress.ip_address("198.51.100.10"), 40000))
INFO = ServerInfo(7, LocatorKind.PORT, SEEN)
NONCE = bytes(range(32))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return identity(tmp_path, "edge", "127.0.0.1")


def records(data: bytes) -> list[bytes]:
    reader = FrameReader()
    reader.feed(data)
    found = []
    while (record := reader.next_tls_record()) is not None:
        found.append(record)
    assert reader.pending == 0
    return found


def refragmented(record: bytes) -> list[bytes]:
    """The same handshake messages in records of seven bytes."""
    if record[0] != 22:
        return [record]
    body = record[RECORD_HEADER:]
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    return [record[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces]


def converse(
    client: TlsClient, server: TlsServer, change: Callable[[bytes], list[bytes]] = lambda record: [record]
) -> list[bytes]:
    """Carry records both ways until the client has ServerInfo; the edge's outcome is checked against it."""
    outcome, passed = None, []
    while client.outcome is None:
        to_server, to_client = records(client.to_send()), records(server.to_send())
        assert to_server or to_client, "both ends wait"
        passed += to_server + to_client
        for record in to_server:
            for piece in change(record):
                server.receive(piece)
        if server.done and outcome is None:
            outcome = server.finish(INFO)
        for record in to_client:
            for piece in change(record):
                client.receive(piece)
    assert client.outcome == outcome
    return passed


def ends(
    certificate: tuple[Path, Path], context: SSL.Context | None = None, host: str = "127.0.0.1"
) -> tuple[TlsClient, TlsServer]:
    client = TlsClient(client_context(certificate[0]), host, NONCE)
    return client, TlsServer(context or server_context(*certificate))


def test_both_ends_agree_on_what_the_binding_covers(certificate: tuple[Path, Path]) -> None:
    client, server = ends(certificate)
    converse(client, server)
    assert client.outcome is not None
    assert client.outcome.info == INFO.encode()
    assert client.outcome.hellos[0] == 1
    assert client.outcome.aead is Aead.AES_128_GCM


def test_the_edge_learns_the_server_name(tmp_path: Path) -> None:
    client, server = ends(identity(tmp_path, "edge", "shop.example"), host="shop.example")
    converse(client, server)
    assert client.outcome is not None
    assert client.outcome.server_name == "shop.example"


def test_refragmented_records_change_nothing(certificate: tuple[Path, Path]) -> None:
    """Records are the path's business; the binding is over messages."""
    client, server = ends(certificate)
    converse(client, server, refragmented)
    assert client.outcome is not None


def test_a_hello_retry_request_and_the_second_hello_are_covered(certificate: tuple[Path, Path]) -> None:
    context = server_context(
        *certificate, (NamedGroup.X25519,)
    )  # the client's first share is of another group
    client, server = ends(certificate, context)
    converse(client, server)
    assert client.outcome is not None
    types, rest = [], client.outcome.hellos
    while rest:
        types.append(rest[0])
        rest = rest[4 + int.from_bytes(rest[1:4], "big") :]
    assert types == [1, 2, 1, 2]


def test_tickets_are_passed_over_and_never_used(certificate: tuple[Path, Path]) -> None:
    """A server that sends tickets in spite of all: the client discards them, and offers no PSK the next time."""
    context = server_context(*certificate)
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    trusting = client_context(certificate[0])
    for _ in range(2):
        client, server = TlsClient(trusting, "127.0.0.1", NONCE), TlsServer(context)
        passed = converse(client, server)
        assert sum(record[0] == 23 for record in passed) >= 3
        assert client.outcome is not None
        assert not has_extension(client.outcome.hellos, 41)


def has_extension(hello: bytes, wanted: int) -> bool:
    """Whether a ClientHello message has an extension (RFC 8446 section 4.1.2)."""
    at = 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at]
    end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 2
    while at < end:
        kind, length = (int.from_bytes(hello[n : n + 2], "big") for n in (at, at + 2))
        if kind == wanted:
            return True
        at += 4 + length
    return False


def test_an_offered_psk_is_not_used(certificate: tuple[Path, Path]) -> None:
    """A client with a ticket of an earlier connection offers it; the edge begins afresh, with its certificate."""
    lenient = server_context(*certificate)
    lenient.set_options(0)
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.load_verify_locations(str(certificate[0]))
    context.set_alpn_protos([tls.ALPN])
    session = None
    for _ in range(2):
        connection = SSL.Connection(context, None)
        connection.set_connect_state()
        if session is not None:
            connection.set_session(session)
        server = TlsServer(lenient)
        abort, sent_info = b"", 0
        with contextlib.suppress(SSL.WantReadError):
            connection.do_handshake()
        for _ in range(6):
            with contextlib.suppress(SSL.WantReadError):
                for record in records(connection.bio_read(1 << 16)):
                    server.receive(record)
            if server.done and not abort:
                hellos = server.finish(INFO).hellos
                answer = hellos[4 + int.from_bytes(hellos[1:4], "big") :]
                assert answer[0] == 2
                assert b"\x00\x29\x00\x02" not in answer, "the ServerHello takes the PSK"
            sent = server.to_send()
            if sent:
                connection.bio_write(sent)
            with contextlib.suppress(SSL.WantReadError):
                connection.do_handshake()
                if not sent_info:
                    sent_info = connection.send(ClientInfo(bytes(32)).encode())
                abort = connection.recv(4096)
        assert abort == INFO.encode()
        assert connection.get_peer_certificate() is not None
        session = connection.get_session()


def test_the_group_is_the_hybrid_and_either_end_can_refuse_what_is_left(
    certificate: tuple[Path, Path],
) -> None:
    client, server = ends(certificate)
    converse(client, server)
    assert client.outcome is not None
    assert client.outcome.group is NamedGroup.X25519MLKEM768
    assert (
        client.outcome.client_info == ClientInfo(commit_to_nonce(client.outcome.session_id, NONCE)).encode()
    )
    classical = server_context(*certificate, (NamedGroup.X25519,))
    client, server = ends(certificate, classical)
    converse(client, server)
    assert client.outcome is not None
    assert client.outcome.group is NamedGroup.X25519
    hybrid = (NamedGroup.X25519MLKEM768,)
    with pytest.raises(errors.NoCommonGroup, match="not offered"):
        ClientHandshake.after_tls(ClientConfig(groups=hybrid), client.outcome, NONCE)
    with pytest.raises(errors.NoCommonGroup, match="this edge refuses"):
        ServerHandshake.after_tls(ServerConfig(7, groups=hybrid), client.outcome)
    client, server = (
        TlsClient(client_context(certificate[0], hybrid), "127.0.0.1", NONCE),
        TlsServer(classical),
    )
    with pytest.raises(errors.TlsFailed):
        converse(client, server)


def test_a_group_outside_the_protocol_is_refused(certificate: tuple[Path, Path]) -> None:
    lenient, context = client_context(certificate[0]), server_context(*certificate)
    for each in (lenient, context):
        each.set_tmp_ecdh(ec.SECP384R1())
    client, server = TlsClient(lenient, "127.0.0.1", NONCE), TlsServer(context)
    with pytest.raises(errors.NoCommonGroup, match="secp384r1"):
        converse(client, server)


def test_groups_that_openssl_does_not_know_are_named(certificate: tuple[Path, Path]) -> None:
    unknown = int.__new__(NamedGroup, 0x6399)
    unknown._name_ = "KYBER"
    with pytest.raises(errors.TlsFailed, match="does not know the groups KYBER"):
        server_context(*certificate, (unknown,))


def test_client_info_that_is_malformed_or_of_another_version_is_refused(
    certificate: tuple[Path, Path],
) -> None:
    for said, error in (
        (b"\1" + bytes(40), errors.UnsupportedVersion),
        (b"\2\1\3" + bytes(34), errors.UnsupportedVersion),
        (b"\2\1\2short", errors.MalformedMessage),
    ):
        client, server = ends(certificate)
        while not server._handshake_done:
            for record in records(client.to_send()):
                server.receive(record)
            for record in records(server.to_send()):
                client._feed(record)
                client._handshake()
        client._connection.send(said)
        (record,) = records(client.to_send())
        with pytest.raises(errors.TlsFailed):  # a record that was changed, or a part of it
            TlsServer(server_context(*certificate)).receive(record)
        with pytest.raises(error):
            server.receive(record)


def test_a_client_info_changed_on_the_way_ends_tls(certificate: tuple[Path, Path]) -> None:
    client, server = ends(certificate)
    *_, info = finish_tls(client, server)
    with pytest.raises(errors.TlsFailed):
        server.receive(info[:-1] + bytes([info[-1] ^ 1]))
    assert not server.done


def test_a_handshake_message_behind_tls_is_passed_over(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = ends(certificate)
    *_, info = finish_tls(client, server)

    def wait(_: int) -> bytes:
        raise SSL.WantReadError

    with monkeypatch.context() as patch:
        patch.setattr(server._connection, "recv", wait)
        server.receive(info)
    assert not server.done


def finish_tls(client: TlsClient, server: TlsServer) -> list[bytes]:
    """Carry TLS until the edge's handshake is done; return what the client has sent then, ClientInfo last."""
    while True:
        sent = records(client.to_send())
        for at, record in enumerate(sent):
            server.receive(record)
            if server._handshake_done:
                return sent[at:]
        for record in records(server.to_send()):
            client.receive(record)


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    """OpenSSL itself is content with the chain; the name is what is wrong."""
    for host, asked in (
        ("other.example", "cdn.example"),
        ("127.0.0.2", "127.0.0.1"),
        ("cdn.example", "127.0.0.1"),
    ):
        client, server = ends(identity(tmp_path, "wrong", host), host=asked)
        with pytest.raises(errors.CertificateRefused, match=asked):
            converse(client, server)
        assert client.outcome is None


def test_an_authority_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    trusted, other = identity(tmp_path, "a", "127.0.0.1"), identity(tmp_path, "b", "127.0.0.1")
    client, server = (
        TlsClient(client_context(trusted[0]), "127.0.0.1", NONCE),
        TlsServer(server_context(*other)),
    )
    with pytest.raises(errors.TlsFailed):
        converse(client, server)


def test_another_protocol_is_refused(certificate: tuple[Path, Path]) -> None:
    context = client_context(certificate[0])
    context.set_alpn_protos([b"h2"])
    client, server = TlsClient(context, "127.0.0.1", NONCE), TlsServer(server_context(*certificate))
    with pytest.raises(errors.TlsFailed):
        converse(client, server)


@contextlib.asynccontextmanager
async def edge(certificate: tuple[Path, Path]) -> AsyncIterator[LoopbackEdge]:
    async with LoopbackEdge(ServerConfig(1, tls=server_context(*certificate))) as running:
        yield running


async def test_a_session_over_real_sockets(certificate: tuple[Path, Path]) -> None:
    async with edge(certificate) as running:
        connection = await running.connect(mode=Mode.MTLS, authorities=certificate[0])
        connection.writer.write(b"%08d" % 3_000_000)
        received = await connection.reader.readexactly(3_000_000)
        assert hashlib.sha256(received).hexdigest() == digest_of(3_000_000)
        assert connection.report().mode == "mtls"
        assert running.session.get_extra_info("path_confirmed")()
        await connection.close()
        plain = await running.connect()
        assert plain.report().mode == "opportunistic"
        await plain.close()


async def test_two_tls_sessions_of_one_man_in_the_middle_do_not_bind(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """A on path 0 with a forged certificate that the client trusts: TLS is content.

    But the edge knows the session by the attacker's hello, and the client's nonce finds none.
    """
    forged = identity(tmp_path, "forged", "127.0.0.1")
    async with edge(certificate) as running:
        service = running.relays[0]
        service.instead = lambda reader, writer: between(
            reader, writer, forged, certificate, service.upstream
        )
        with pytest.raises(errors.DeadlineMissed):
            await running.connect(mode=Mode.MTLS, authorities=forged[0], timeout=1)
        assert not running.sessions


async def between(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    forged: tuple[Path, Path],
    genuine: tuple[Path, Path],
    target: int,
) -> None:
    """Be the edge for the client and the client for the edge; ServerInfo goes from one to the other."""
    edge_reader, edge_writer = await asyncio.open_connection("127.0.0.1", target)
    outer = TlsClient(client_context(genuine[0]), "127.0.0.1", NONCE)
    edge_writer.write(outer.to_send())
    while outer.outcome is None:
        outer.receive(await record_from(edge_reader))
        edge_writer.write(outer.to_send())
    inner = TlsServer(server_context(*forged))
    while not inner.done:
        inner.receive(await record_from(reader))
        writer.write(inner.to_send())
    inner.finish(ServerInfo.parse(outer.outcome.info))
    writer.write(inner.to_send())
    await reader.read()
    edge_writer.close()
    writer.close()


async def record_from(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(RECORD_HEADER)
    return head + await reader.readexactly(int.from_bytes(head[3:5], "big"))


async def test_half_open_handshakes_are_bounded(certificate: tuple[Path, Path]) -> None:
    async with edge(certificate) as running:
        running.handshakes._tls_limit = 3
        idle = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(3)]
        for _, writer in idle:
            writer.write(b"\x16\x03\x01\x40\x00")  # the head of a record that never comes
        async with asyncio.timeout(5):
            while running.handshakes._in_tls < 3:
                await asyncio.sleep(0.005)
        with pytest.raises(errors.SmkexError):
            await running.connect(mode=Mode.MTLS, authorities=certificate[0])
        assert running.handshakes.failures["Overloaded"] == 1
        for _, writer in idle:
            writer.close()
        async with asyncio.timeout(5):
            while running.handshakes._in_tls:
                await asyncio.sleep(0.005)
        connection = await running.connect(mode=Mode.MTLS, authorities=certificate[0])
        await connection.close()


# --- what is no TLS, or not the TLS that is asked for


def test_contexts_of_files_that_do_not_fit_say_which(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    other = identity(tmp_path, "other", "127.0.0.1")
    with pytest.raises(errors.TlsFailed, match=r"other\.key"):
        server_context(certificate[0], other[1])
    with pytest.raises(errors.TlsFailed, match=r"missing\.pem"):
        client_context(tmp_path / "missing.pem")


def test_without_a_file_the_authorities_of_the_system_are_asked(certificate: tuple[Path, Path]) -> None:
    client, server = (
        TlsClient(client_context(None), "127.0.0.1", NONCE),
        TlsServer(server_context(*certificate)),
    )
    with pytest.raises(errors.TlsFailed, match="certificate verify failed"):
        converse(client, server)


def test_a_handshake_message_in_clear_that_is_no_hello_is_refused(certificate: tuple[Path, Path]) -> None:
    _, server = ends(certificate)
    with pytest.raises(errors.TlsFailed, match="type 11 came unencrypted"):
        server.receive(b"\x16\x03\x03\x00\x04\x0b\x00\x00\x00")


def test_a_hello_that_claims_megabytes_is_refused_before_they_are_kept() -> None:
    hellos = tls.HelloTranscript()
    hellos.take("server", b"\x16\x03\x03\x00\x04\x02\xff\xff\xff")
    hellos.take("server", b"\x16\x03\x03\x40\x00" + bytes(16384))
    with pytest.raises(errors.TlsFailed, match="exceed 32768 bytes"):
        hellos.take("server", b"\x16\x03\x03\x40\x00" + bytes(16384))


def test_a_cipher_suite_that_records_do_not_have_is_refused(certificate: tuple[Path, Path]) -> None:
    lenient, context = client_context(certificate[0]), server_context(*certificate)
    for each in (lenient, context):
        each.set_tls13_ciphersuites(b"TLS_AES_256_GCM_SHA384")
    client, server = TlsClient(lenient, "127.0.0.1", NONCE), TlsServer(context)
    with pytest.raises(errors.NoCommonAead, match="AES_256"):
        converse(client, server)


def test_server_info_that_was_changed_on_the_way_ends_tls(certificate: tuple[Path, Path]) -> None:
    client, server = ends(certificate)

    def change(record: bytes) -> list[bytes]:
        return [record if not server.done or record[0] != 23 else record[:-1] + bytes([record[-1] ^ 1])]

    with pytest.raises(errors.TlsFailed):
        converse(client, server, change)
    assert client.outcome is None


def test_in_mode_mtls_there_is_no_client_share(certificate: tuple[Path, Path]) -> None:
    client, server = ends(certificate)
    converse(client, server)
    assert client.outcome is not None
    handshake = ClientHandshake.after_tls(ClientConfig(), client.outcome, NONCE)
    assert handshake.edge_id == 7
    with pytest.raises(errors.UnexpectedMessage, match="no ClientShare"):
        _ = handshake.client_share


async def test_a_draining_edge_says_so_before_tls(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "RETRY_DELAY", 1000.0)  # the client does not try again
    async with edge(certificate) as running:
        running.config = replace(running.config, draining=True)
        with pytest.raises(errors.PeerAborted, match="draining"):
            await running.connect(mode=Mode.MTLS, authorities=certificate[0])
        assert running.handshakes.failures == {"Draining": 1}
