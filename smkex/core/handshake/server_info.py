"""Mode mtls: what client and edge send inside TLS, and the result of TLS. Does not import OpenSSL."""

from dataclasses import dataclass, field

from smkex.core.errors import MalformedMessage
from smkex.core.wire.codec import Reader, u8, u16, vec8
from smkex.core.wire.messages import (
    DIGEST_LENGTH,
    VERSION,
    Aead,
    LocatorKind,
    Mode,
    Observation,
    check_version,
    check_versions,
    encode_options,
    read_edge_id,
    read_observation,
    read_options,
)
from smkex.core.wire.named_group import NamedGroup


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """The fields of ClientShare other than keys and offers: the client's only application data inside TLS."""

    commitment: bytes

    def encode(self) -> bytes:
        return u8(VERSION) + vec8(bytes((VERSION,))) + self.commitment + encode_options(())

    @classmethod
    def parse(cls, data: bytes) -> "ClientInfo":
        reader = Reader(data)
        check_version(reader)
        check_versions(reader.vec8())
        commitment = reader.take(DIGEST_LENGTH)
        read_options(reader)
        reader.finish()
        return cls(commitment)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The fields of ServerShare other than keys: the edge's only application data inside TLS."""

    edge_id: int
    locator: LocatorKind
    observed: Observation

    def encode(self) -> bytes:
        return (
            u8(VERSION)
            + u8(Mode.MTLS)
            + u16(self.edge_id)
            + u8(self.locator)
            + u16(self.observed.ingress_id)
            + self.observed.client.encode()
            + encode_options(())
        )

    @classmethod
    def parse(cls, data: bytes) -> "ServerInfo":
        reader = Reader(data)
        check_version(reader)
        if reader.u8() != Mode.MTLS:
            raise MalformedMessage("ServerInfo does not name mode mtls")
        edge_id, locator = read_edge_id(reader)
        observed = read_observation(reader)
        read_options(reader)
        reader.finish()
        return cls(edge_id, locator, observed)


@dataclass(frozen=True, slots=True)
class TlsOutcome:
    """Result of TLS on path 0. The binding covers `hellos`, `client_info` and `info` (ServerInfo's bytes)."""

    session_id: bytes
    hellos: bytes
    client_info: bytes
    info: bytes
    aead: Aead
    group: NamedGroup
    exported: bytes = field(repr=False)
    server_name: str = ""  # as the client sent it
