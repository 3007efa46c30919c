"""The messages of the key exchange (SMKEX section 5, with the fields of docs/protocol) and their bytes.

Each message keeps the frame it was read from or written to: hashes go over bytes as sent, never over a
re-encoding.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from ipaddress import IPv4Address, IPv6Address

from smkex.core.errors import AbortCode, MalformedMessage, PeerAborted, UnsupportedVersion
from smkex.core.wire.codec import Reader, u8, u16, vec8, vec16
from smkex.core.wire.frame import HEADER_LENGTH, FrameType, encode_frame, encode_header
from smkex.core.wire.named_group import (
    CLIENT_SHARE_LENGTH,
    SERVER_SHARE_LENGTH,
    NamedGroup,
    check_share_length,
)

VERSION = 2
SESSION_ID_LENGTH = 16
NONCE_LENGTH = 32
SHARE_LENGTH = 32  # of X25519
DIGEST_LENGTH = 32
OPTIONS_LIMIT = 16
SHARES_LIMIT = 8  # groups that one ClientShare offers


@unique
class Mode(IntEnum):
    """What authenticates the edge's share, besides the second path."""

    OPPORTUNISTIC = 1
    TOFU = 2
    MTLS = 3


@unique
class Aead(IntEnum):
    """AEADs of records, all with 16-byte tags and 12-byte nonces (RFC 5116, RFC 8439)."""

    AES_128_GCM = 1
    CHACHA20_POLY1305 = 2


@unique
class LocatorKind(IntEnum):
    """How a secondary subflow carries the edge id."""

    PORT = 1
    ADDRESS = 2


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and port of the client as an edge saw it."""

    address: IPv4Address | IPv6Address
    port: int

    def encode(self) -> bytes:
        return vec8(self.address.packed) + u16(self.port)

    @classmethod
    def read(cls, reader: Reader) -> "Endpoint":
        packed = reader.vec8()
        if len(packed) not in (4, 16):
            raise MalformedMessage("an address is neither 4 nor 16 bytes long")
        address = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
        return cls(address, reader.u16())

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Observation:
    """What an edge sees of one subflow: the edge where it entered the CDN, and the client's address."""

    ingress_id: int
    client: Endpoint


Options = tuple[tuple[int, bytes], ...]
SEALED_NAME = 1  # option of ClientShare: the server name under the fleet's name key
NAME_KEY = 1  # option of ServerShare: the name key under which the client shall seal names


def encode_options(options: Options) -> bytes:
    return vec16(b"".join(u16(kind) + vec16(value) for kind, value in options))


def read_options(reader: Reader) -> Options:
    """Read options in ascending order, each once. Unknown options are kept and ignored."""
    inner = Reader(reader.vec16())
    options: list[tuple[int, bytes]] = []
    while not inner.at_end:
        kind = inner.u16()
        if len(options) == OPTIONS_LIMIT or (options and kind <= options[-1][0]):
            raise MalformedMessage(f"options are not in ascending order, or more than {OPTIONS_LIMIT}")
        options.append((kind, inner.vec16()))
    return tuple(options)


def _body_reader(frame: bytes, kind: FrameType) -> Reader:
    if frame[0] != kind:
        raise MalformedMessage(f"expected {kind.name}, found frame type {frame[0]}")
    return Reader(frame[HEADER_LENGTH:])


def check_version(reader: Reader) -> None:
    version = reader.u8()
    if version != VERSION:
        raise UnsupportedVersion(f"the other end speaks version {version}, this end {VERSION}")


def check_versions(offered: bytes) -> None:
    """Raise `UnsupportedVersion` unless the client's list of versions has this one."""
    if VERSION not in offered:
        raise UnsupportedVersion(f"the client offers versions {list(offered)}, this end speaks {VERSION}")


def read_edge_id(reader: Reader) -> tuple[int, LocatorKind]:
    """Read an owner's id and the kind of its locator."""
    edge_id = reader.u16()
    if edge_id == 0:
        raise MalformedMessage("edge id 0 is reserved")
    try:
        return edge_id, LocatorKind(reader.u8())
    except ValueError as error:
        raise MalformedMessage(f"the edge chose an unknown value: {error}") from None


def read_observation(reader: Reader) -> Observation:
    return Observation(reader.u16(), Endpoint.read(reader))


KeyShares = tuple[tuple[int, bytes], ...]


def encode_share(group: int, share: bytes) -> bytes:
    return u16(group) + vec16(share)


def read_shares(reader: Reader) -> KeyShares:
    """Read a client's shares: each group once, in the order of preference. Unknown groups are kept and ignored."""
    inner = Reader(reader.vec16())
    shares: dict[int, bytes] = {}
    while not inner.at_end:
        group, share = inner.u16(), inner.vec16()
        if group in shares or len(shares) == SHARES_LIMIT:
            raise MalformedMessage(f"a group is offered twice, or more than {SHARES_LIMIT} are")
        check_share_length(group, share, CLIENT_SHARE_LENGTH)
        shares[group] = share
    return tuple(shares.items())


@dataclass(frozen=True, slots=True)
class ClientShare:
    """First message on path 0: what the client offers, its shares g^x, and its commitment to N_C of path 1."""

    session_id: bytes
    modes: tuple[int, ...]
    aeads: tuple[int, ...]
    commitment: bytes
    shares: KeyShares
    server_name: str
    options: Options
    frame: bytes

    @classmethod
    def build(
        cls,
        session_id: bytes,
        modes: tuple[Mode, ...],
        aeads: tuple[Aead, ...],
        commitment: bytes,
        shares: KeyShares,
        server_name: str,
        options: Options = (),
    ) -> "ClientShare":
        body = (
            u8(VERSION)
            + session_id
            + vec8(bytes((VERSION,)))
            + vec8(bytes(modes))
            + vec8(bytes(aeads))
            + commitment
            + vec16(b"".join(encode_share(group, share) for group, share in shares))
            + vec8(server_name.encode("ascii"))
            + encode_options(options)
        )
        return cls.parse(encode_frame(FrameType.CLIENT_SHARE, body))

    @classmethod
    def parse(cls, frame: bytes) -> "ClientShare":
        reader = _body_reader(frame, FrameType.CLIENT_SHARE)
        check_version(reader)
        session_id = reader.take(SESSION_ID_LENGTH)
        check_versions(reader.vec8())
        modes, aeads = tuple(reader.vec8()), tuple(reader.vec8())
        commitment = reader.take(DIGEST_LENGTH)
        shares = read_shares(reader)
        try:
            server_name = reader.vec8().decode("ascii")
        except UnicodeDecodeError:
            raise MalformedMessage("the server name is not ASCII") from None
        options = read_options(reader)
        reader.finish()
        made = cls(session_id, modes, aeads, commitment, shares, server_name, options, frame)
        if server_name and made.sealed_name is not None:
            raise MalformedMessage("the server name is there in clear and under seal")
        return made

    @property
    def sealed_name(self) -> bytes | None:
        """The server name under seal, None where there is none."""
        return dict(self.options).get(SEALED_NAME)

    def frame_with(self, option: int, value: bytes) -> bytes:
        """Return the frame with another value, of the same length, of an option that it has."""
        changed = tuple((kind, value if kind == option else old) for kind, old in self.options)
        return self.frame[: -len(encode_options(self.options))] + encode_options(changed)


def read_chosen_share(reader: Reader) -> tuple[NamedGroup, bytes]:
    """Read the group that the edge chose, and its share."""
    try:
        group = NamedGroup(reader.u16())
    except ValueError as error:
        raise MalformedMessage(f"the edge chose an unknown value: {error}") from None
    share = reader.vec16()
    check_share_length(group, share, SERVER_SHARE_LENGTH)
    return group, share


@dataclass(frozen=True, slots=True)
class ServerShare:
    """Answer on path 0: the edge's choice, its id, how it saw the client, and its share g^y."""

    mode: Mode
    aead: Aead
    edge_id: int
    locator: LocatorKind
    observed: Observation
    group: NamedGroup
    share: bytes
    certified_share: bytes
    options: Options
    frame: bytes

    @classmethod
    def build(
        cls,
        mode: Mode,
        aead: Aead,
        edge_id: int,
        locator: LocatorKind,
        observed: Observation,
        group: NamedGroup,
        share: bytes,
        certified_share: bytes = b"",
        options: Options = (),
    ) -> "ServerShare":
        body = (
            u8(VERSION)
            + u8(mode)
            + u8(aead)
            + u16(edge_id)
            + u8(locator)
            + u16(observed.ingress_id)
            + observed.client.encode()
            + encode_share(group, share)
            + vec16(certified_share)
            + encode_options(options)
        )
        frame = encode_frame(FrameType.SERVER_SHARE, body)
        return cls(mode, aead, edge_id, locator, observed, group, share, certified_share, options, frame)

    @classmethod
    def parse(cls, frame: bytes) -> "ServerShare":
        reader = _body_reader(frame, FrameType.SERVER_SHARE)
        check_version(reader)
        try:
            mode, aead = Mode(reader.u8()), Aead(reader.u8())
        except ValueError as error:
            raise MalformedMessage(f"the edge chose an unknown value: {error}") from None
        edge_id, locator = read_edge_id(reader)
        observed = read_observation(reader)
        group, share = read_chosen_share(reader)
        certified_share = reader.vec16()
        options = read_options(reader)
        reader.finish()
        return cls(mode, aead, edge_id, locator, observed, group, share, certified_share, options, frame)


@dataclass(frozen=True, slots=True)
class ClientNonce:
    """Path 1, first: nothing in it depends on anything received on path 0."""

    session_id: bytes
    nonce: bytes
    frame: bytes

    @classmethod
    def build(cls, session_id: bytes, nonce: bytes) -> "ClientNonce":
        return cls.parse(encode_frame(FrameType.CLIENT_NONCE, session_id + nonce))

    @classmethod
    def parse(cls, frame: bytes) -> "ClientNonce":
        reader = _body_reader(frame, FrameType.CLIENT_NONCE)
        session_id, nonce = reader.take(SESSION_ID_LENGTH), reader.take(NONCE_LENGTH)
        reader.finish()
        return cls(session_id, nonce, frame)


@dataclass(frozen=True, slots=True)
class ServerNonce:
    """Answer on path 1: the edge's nonce, how it saw this subflow, the binding of both paths, and the MAC."""

    nonce: bytes
    observed: Observation
    options: Options
    binding: bytes
    mac: bytes
    frame: bytes

    @staticmethod
    def encode_unbound(nonce: bytes, observed: Observation) -> bytes:
        """Encode the body before the binding."""
        return nonce + u16(observed.ingress_id) + observed.client.encode() + encode_options(())

    @staticmethod
    def encode_without_mac(unbound: bytes, binding: bytes) -> bytes:
        """Encode the frame up to its MAC; the header's length includes the MAC."""
        body = unbound + binding
        return encode_header(FrameType.SERVER_NONCE, len(body) + DIGEST_LENGTH) + body

    @classmethod
    def parse(cls, frame: bytes) -> "ServerNonce":
        reader = _body_reader(frame, FrameType.SERVER_NONCE)
        nonce = reader.take(NONCE_LENGTH)
        observed = read_observation(reader)
        options = read_options(reader)
        binding, mac = reader.take(DIGEST_LENGTH), reader.take(DIGEST_LENGTH)
        reader.finish()
        return cls(nonce, observed, options, binding, mac, frame)

    @property
    def rest(self) -> bytes:
        """The fields between nonce and binding, as sent; the binding covers them."""
        return self.frame[HEADER_LENGTH + NONCE_LENGTH : -2 * DIGEST_LENGTH]

    @property
    def without_mac(self) -> bytes:
        """The frame as sent, without its MAC (the header's length still includes it)."""
        return self.frame[:-DIGEST_LENGTH]


@dataclass(frozen=True, slots=True)
class Finished:
    """Last message on every path: the client's proof that it holds the keys."""

    path: int
    verify: bytes
    frame: bytes

    @classmethod
    def build(cls, path: int, verify: bytes) -> "Finished":
        return cls.parse(encode_frame(FrameType.FINISHED, u8(path) + verify))

    @classmethod
    def parse(cls, frame: bytes) -> "Finished":
        reader = _body_reader(frame, FrameType.FINISHED)
        path, verify = reader.u8(), reader.take(DIGEST_LENGTH)
        reader.finish()
        return cls(path, verify, frame)


@dataclass(frozen=True, slots=True)
class Ready:
    """Edge to client, transport mptcp only: both Finished verified, and the client's choice `path` confirmed."""

    path: int
    verify: bytes
    frame: bytes

    @classmethod
    def build(cls, path: int, verify: bytes) -> "Ready":
        return cls.parse(encode_frame(FrameType.READY, u8(path) + verify))

    @classmethod
    def parse(cls, frame: bytes) -> "Ready":
        reader = _body_reader(frame, FrameType.READY)
        path, verify = reader.u8(), reader.take(DIGEST_LENGTH)
        reader.finish()
        return cls(path, verify, frame)


def encode_abort(code: int, detail: bytes = b"") -> bytes:
    """Encode an unauthenticated Abort: a hint only, since no keys exist yet."""
    return encode_frame(FrameType.ABORT, u16(code) + detail)


def parse_abort(frame: bytes) -> PeerAborted:
    """Return the error that an Abort in clear stands for. Only that of code 32 has anything behind the code."""
    reader = _body_reader(frame, FrameType.ABORT)
    code = reader.u16()
    detail = reader.rest() if code == AbortCode.NAME_NOT_OPENED else b""
    reader.finish()
    return PeerAborted(code, authenticated=False, peer_detail=detail)
