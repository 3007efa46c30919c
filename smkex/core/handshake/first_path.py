"""Result of path 0, in the form that the rest of the key exchange needs, for every mode."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from smkex.core.handshake.server_info import ServerInfo, TlsOutcome
from smkex.core.wire.messages import Aead, LocatorKind, Mode, Observation


@dataclass(frozen=True, slots=True)
class FirstPath:
    """`first` and `second` are the bytes that client and edge sent on path 0; `secrets` go into the key schedule."""

    session_id: bytes
    first: bytes
    second: bytes
    mode: Mode
    aead: Aead
    edge_id: int
    locator: LocatorKind
    observed: Observation
    secrets: Sequence[bytes] = field(repr=False)
    fleet_key: str | None = None
    server_name: str = ""

    @classmethod
    def from_tls(cls, outcome: TlsOutcome) -> "FirstPath":
        info = ServerInfo.parse(outcome.info)
        return cls(
            outcome.session_id,
            outcome.hellos,
            outcome.info,
            Mode.MTLS,
            outcome.aead,
            info.edge_id,
            info.locator,
            info.observed,
            [outcome.exported],
            server_name=outcome.server_name,
        )
