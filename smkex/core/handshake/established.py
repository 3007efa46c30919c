"""What a finished handshake leaves behind: the keys, and what each end knows of the other and of the ways between."""

from dataclasses import dataclass, field

from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.wire.messages import Mode, Observation


@dataclass(frozen=True, slots=True)
class Established:
    """The outcome of a key exchange.

    `observed` is, per path, how the edge saw that subflow: the evidence for the ways that the exchange went.
    `downgrades` names everything that was allowed to be less than the protocol asks for.
    """

    keys: KeySchedule = field(repr=False)
    mode: Mode
    session_id: bytes
    edge_id: int
    observed: tuple[Observation, Observation]
    downgrades: tuple[str, ...] = ()
    fleet_key: str | None = None  # its fingerprint, in mode tofu
