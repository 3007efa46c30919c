"""Result of a finished handshake: keys, mode, owner and how the edge saw both paths."""

from dataclasses import dataclass, field

from smkex.core.keys.exporter import SessionExporter
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.keys.name_key import NameKey
from smkex.core.wire.messages import Mode, Observation
from smkex.core.wire.named_group import NamedGroup


@dataclass(frozen=True, slots=True)
class Established:
    """The outcome of a key exchange.

    `observed` is, per path, how the edge saw that subflow: evidence of the path taken.
    `downgrades` names each check that the configuration relaxed, such as "shared-path".
    """

    keys: KeySchedule = field(repr=False)
    mode: Mode
    group: NamedGroup
    session_id: bytes
    edge_id: int
    observed: tuple[Observation, Observation]
    downgrades: tuple[str, ...] = ()
    fleet_key: str | None = None  # its fingerprint, in mode tofu
    revocation_floor: int = 0  # of the fleet key, as its certificate states it (unix time)
    server_name: str = ""  # that the client asked for, at the edge
    name: str = ""  # at the client, how the server name travelled: "sealed", "clear", "none" of an address
    name_key: NameKey | None = None  # at the client, the newest that it has now

    @property
    def exporter(self) -> SessionExporter:
        """The session's tag and exports, for protocols above it."""
        return SessionExporter(self.keys)
