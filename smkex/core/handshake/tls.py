"""Path 0 of mode mtls: plain TLS 1.3 by OpenSSL over memory buffers (SMKEX section 10.2; docs/protocol, "Mode mtls").

Each end receives one TLS record at a time and never reads past its last. The binding covers the handshake messages of
both directions from the first ClientHello to the final ServerHello, however split into records, then ClientInfo and
ServerInfo, the only application data. Tickets are discarded; there is no resumption, PSK or early data.
"""

import hashlib
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import service_identity
import service_identity.pyopenssl
from OpenSSL import SSL

from smkex.core.errors import CertificateRefused, NoCommonAead, NoCommonGroup, TlsFailed
from smkex.core.handshake.server_info import ClientInfo, ServerInfo, TlsOutcome
from smkex.core.keys.key_schedule import commit_to_nonce
from smkex.core.wire.frame_reader import TLS_HEADER_LENGTH
from smkex.core.wire.messages import SESSION_ID_LENGTH, Aead
from smkex.core.wire.named_group import DEFAULT_GROUPS, NamedGroup

ALPN = b"sennit/2"
EXPORTER = b"EXPORTER-sennit-smkex-2"
RECORD_HEADER = TLS_HEADER_LENGTH
FIRST_BYTE = 22  # of every ClientHello: content type handshake
HELLO_LIMIT = 32768  # bytes of the messages that the binding covers
INFO_LIMIT = 4096

_HANDSHAKE, _APPLICATION_DATA = 22, 23
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
# "HelloRetryRequest" in the place of the random (RFC 8446 section 4.1.3)
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_SUITES = {"TLS_AES_128_GCM_SHA256": Aead.AES_128_GCM, "TLS_CHACHA20_POLY1305_SHA256": Aead.CHACHA20_POLY1305}


class HelloTranscript:
    """Collect the plaintext handshake messages of both directions, until the final ServerHello."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.done = False
        self._partial = {"client": b"", "server": b""}

    def take(self, sender: str, record: bytes) -> None:
        if self.done or record[0] != _HANDSHAKE:
            return
        data = self._partial[sender] + record[RECORD_HEADER:]
        while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[1:4], "big"):
            end = 4 + int.from_bytes(data[1:4], "big")
            message, data = data[:end], data[end:]
            wanted = _CLIENT_HELLO if sender == "client" else _SERVER_HELLO
            if message[0] != wanted:
                raise TlsFailed(f"a handshake message of type {message[0]} came unencrypted")
            self.messages.append(message)
            if sender == "server" and message[6:38] != _RETRY:
                self.done = True
                break
        self._partial[sender] = data
        if sum(map(len, self.messages)) + len(data) > HELLO_LIMIT:
            raise TlsFailed(f"hello messages exceed {HELLO_LIMIT} bytes")

    @property
    def session_id(self) -> bytes:
        return session_id_of(self.messages[0])


def session_id_of(client_hello: bytes) -> bytes:
    """The first 16 bytes of the SHA-256 of the first ClientHello message."""
    return hashlib.sha256(client_hello).digest()[:SESSION_ID_LENGTH]


class _TlsEnd:
    """Common part of both ends."""

    _sender: str
    _peer: str

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection
        self._hellos = HelloTranscript()

    def _feed(self, record: bytes) -> None:
        self._hellos.take(self._peer, record)
        self._connection.bio_write(record)

    def _handshake(self) -> bool:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise TlsFailed(_openssl_reason(error)) from None
        return True

    def to_send(self) -> bytes:
        """Records to send now."""
        try:
            data = self._connection.bio_read(1 << 17)
        except SSL.WantReadError:
            return b""
        at = 0
        while at < len(data):
            end = at + RECORD_HEADER + int.from_bytes(data[at + 3 : at + 5], "big")
            self._hellos.take(self._sender, data[at:end])
            at = end
        return data

    def _outcome(self, client_info: bytes, info: bytes) -> TlsOutcome:
        suite = self._connection.get_cipher_name()
        if self._connection.get_protocol_version_name() != "TLSv1.3" or suite not in _SUITES:
            raise NoCommonAead(f"TLS chose {suite}")
        if self._connection.get_alpn_proto_negotiated() != ALPN:
            raise TlsFailed(f"the other end did not negotiate ALPN {ALPN.decode()}")
        group = self._connection.get_group_name() or "no group"
        if group.upper() not in NamedGroup.__members__:
            raise NoCommonGroup(f"TLS chose {group}")
        return TlsOutcome(
            self._hellos.session_id,
            b"".join(self._hellos.messages),
            client_info,
            info,
            _SUITES[suite],
            NamedGroup[group.upper()],
            self._connection.export_keying_material(EXPORTER, 32, b""),
            (self._connection.get_servername() or b"").decode("latin-1"),
        )


class TlsClient(_TlsEnd):
    """The client's TLS on path 0. Send `to_send()` first, then feed each record; `outcome` is set at the end.

    ClientInfo follows the handshake; it commits to `nonce`, the client's N_C.
    """

    _sender = "client"
    _peer = "server"

    def __init__(self, context: SSL.Context, host: str, nonce: bytes) -> None:
        connection = SSL.Connection(context, None)
        connection.set_connect_state()
        self._host = host
        self._address = _parse_address(host)
        if self._address is None:
            connection.set_tlsext_host_name(host.encode("idna"))
        super().__init__(connection)
        self._handshake_done = False
        self._nonce = nonce
        self._info = b""
        self.outcome: TlsOutcome | None = None
        self._handshake()

    def receive(self, record: bytes) -> None:
        """Process one record.

        Raises `TlsFailed`; `CertificateRefused` where the certificate is not the host's, `NoCommonAead`,
        `MalformedMessage`.
        """
        self._feed(record)
        if not self._handshake_done:
            self._handshake_done = self._handshake()
            if not self._handshake_done:
                return
            self._verify_host_name()
            self._info = ClientInfo(commit_to_nonce(self._hellos.session_id, self._nonce)).encode()
            self._connection.send(self._info)
            return
        try:
            info = self._connection.recv(INFO_LIMIT)
        except SSL.WantReadError:
            return  # a ticket
        except SSL.Error as error:
            raise TlsFailed(_openssl_reason(error)) from None
        ServerInfo.parse(info)
        self.outcome = self._outcome(self._info, info)

    def _verify_host_name(self) -> None:
        """Verify that the certificate names the host (RFC 9525); OpenSSL has verified the chain."""
        try:
            if self._address is not None:
                service_identity.pyopenssl.verify_ip_address(self._connection, str(self._address))
            else:
                service_identity.pyopenssl.verify_hostname(self._connection, self._host)
        except (service_identity.VerificationError, service_identity.CertificateError) as error:
            raise CertificateRefused(f"not a certificate for {self._host}: {type(error).__name__}") from None


class TlsServer(_TlsEnd):
    """The edge's TLS on path 0. Feed each record until `done`, sending `to_send()` after each; then `finish`."""

    _sender = "server"
    _peer = "client"

    def __init__(self, context: SSL.Context) -> None:
        connection = SSL.Connection(context, None)
        connection.set_accept_state()
        super().__init__(connection)
        self._handshake_done = False
        self._client_info = b""

    @property
    def done(self) -> bool:
        """Whether ClientInfo, the client's last record of TLS, has come."""
        return bool(self._client_info)

    def receive(self, record: bytes) -> None:
        """Process one record. Raises `TlsFailed`, `MalformedMessage`, `UnsupportedVersion`."""
        self._feed(record)
        if not self._handshake_done:
            self._handshake_done = self._handshake()
            return
        try:
            info = self._connection.recv(INFO_LIMIT)
        except SSL.WantReadError:
            return  # a handshake message, or a part of one
        except SSL.Error as error:
            raise TlsFailed(_openssl_reason(error)) from None
        ClientInfo.parse(info)
        self._client_info = info

    def finish(self, info: ServerInfo) -> TlsOutcome:
        """Queue ServerInfo, the last record of TLS, for `to_send()`.

        Raises `NoCommonAead`, `NoCommonGroup`, `TlsFailed`.
        """
        encoded = info.encode()
        outcome = self._outcome(self._client_info, encoded)
        self._connection.send(encoded)
        return outcome


def client_context(authorities: Path | None, groups: Sequence[NamedGroup] = DEFAULT_GROUPS) -> SSL.Context:
    """A context that trusts a file of authorities, or the system's. Raises `TlsFailed` if the file cannot be read."""
    context = _tls13_context(groups)
    context.set_verify(SSL.VERIFY_PEER)
    try:
        if authorities is None:
            context.set_default_verify_paths()
        else:
            context.load_verify_locations(str(authorities))
    except SSL.Error as error:
        raise TlsFailed(f"{authorities}: {_openssl_reason(error)}") from None
    context.set_alpn_protos([ALPN])
    return context


def server_context(
    certificate: Path, key: Path, groups: Sequence[NamedGroup] = DEFAULT_GROUPS
) -> SSL.Context:
    """A context with a chain and its key in PEM. Raises `TlsFailed` if the key does not match."""
    context = _tls13_context(groups)
    try:
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(key))
        context.check_privatekey()
    except SSL.Error as error:
        raise TlsFailed(f"{certificate}, {key}: {_openssl_reason(error)}") from None

    def select(_: SSL.Connection, offered: list[bytes]) -> bytes | object:
        return ALPN if ALPN in offered else SSL.NO_OVERLAPPING_PROTOCOLS

    context.set_alpn_select_callback(select)  # type: ignore[arg-type]
    return context


def _tls13_context(groups: Sequence[NamedGroup]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    _restrict_groups(context, groups)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(":".join(_SUITES).encode())
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    return context


def _restrict_groups(context: SSL.Context, groups: Sequence[NamedGroup]) -> None:
    """Offer and accept only `groups`, which each end checks again when TLS is done.

    pyOpenSSL has no public call for it; `cryptography` binds OpenSSL's under its older name.
    """
    names = ":".join(group.name for group in groups).encode()
    if SSL._lib.SSL_CTX_set1_curves_list(context._context, names) != 1:  # type: ignore[attr-defined]
        raise TlsFailed(f"this OpenSSL does not know the groups {names.decode()}")


def _parse_address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _openssl_reason(error: SSL.Error) -> str:
    """Return the last message of OpenSSL's error queue."""
    queue = error.args[0] if error.args else []
    return str(queue[-1][-1]) if isinstance(queue, list) and queue else type(error).__name__
