"""Mode mtls: ServerInfo, which the edge sends inside TLS, and the result of TLS. Does not import OpenSSL."""

from dataclasses import dataclass, field

from smkex.core.errors import MalformedMessage
from smkex.core.wire.codec import Reader, u8, u16
from smkex.core.wire.messages import (
    VERSION,
    Aead,
    LocatorKind,
    Mode,
    Observation,
    check_version,
    encode_options,
    read_edge_id,
    read_observation,
    read_options,
)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The fields of ServerShare other than keys: the only application data inside TLS."""

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
    """Result of TLS on path 0. `hellos` are the messages that the binding covers, `info` ServerInfo's bytes."""

    session_id: bytes
    hellos: bytes
    info: bytes
    aead: Aead
    exported: bytes = field(repr=False)
    server_name: str = ""  # as the client sent it
