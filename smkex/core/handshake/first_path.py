"""Result of path 0, in the form that the rest of the key exchange needs, for every mode."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from smkex.core.handshake.server_info import ClientInfo, ServerInfo, TlsOutcome
from smkex.core.keys.certificate import EdgeCertificate
from smkex.core.wire.messages import Aead, LocatorKind, Mode, Observation
from smkex.core.wire.named_group import NamedGroup


@dataclass(slots=True)
class FirstPath:
    """`first` and `second` are the bytes that client and edge sent on path 0.

    `secrets` go into the key schedule, and are discarded once the keys are derived. `commitment` is the client's to its
    nonce.
    """

    session_id: bytes
    first: bytes
    second: bytes
    mode: Mode
    aead: Aead
    group: NamedGroup
    edge_id: int
    locator: LocatorKind
    observed: Observation
    commitment: bytes
    secrets: Sequence[bytes] = field(repr=False)
    certificate: EdgeCertificate | None = None  # that the client was shown
    server_name: str = ""
    name_key: bytes = b""  # that the client was given

    @classmethod
    def from_tls(cls, outcome: TlsOutcome) -> "FirstPath":
        info = ServerInfo.parse(outcome.info)
        return cls(
            outcome.session_id,
            outcome.hellos + outcome.client_info,
            outcome.info,
            Mode.MTLS,
            outcome.aead,
            outcome.group,
            info.edge_id,
            info.locator,
            info.observed,
            ClientInfo.parse(outcome.client_info).commitment,
            [outcome.exported],
            server_name=outcome.server_name,
        )
