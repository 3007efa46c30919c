"""Which modes, fleet keys and name key a connection is tried with: by what is remembered, then by service records."""

from collections.abc import Sequence

from smkex.client.known_hosts import KnownHost, newest_name_key
from smkex.core.errors import HostIsKnown
from smkex.core.handshake.established import Established
from smkex.core.keys.certificate import fleet_key_fingerprint
from smkex.core.keys.name_key import NameKey
from smkex.core.wire.messages import Mode
from smkex.transport.resolution.discovery import FoundService


def select_modes(
    host: str, mode: Mode | None, entries: Sequence[KnownHost], found: FoundService
) -> tuple[Mode, ...]:
    """Return the modes to offer: tofu alone where a fleet key is remembered, or stated by records.

    Raises `HostIsKnown` for a mode that would ignore a remembered fleet key.
    """
    if mode is None:
        return (Mode.TOFU,) if entries or found.fleet_keys else (Mode.TOFU, Mode.OPPORTUNISTIC)
    refuse_downgrade(host, mode, entries)
    return (mode,)


def refuse_downgrade(host: str, mode: Mode | None, entries: Sequence[KnownHost]) -> None:
    """Raise `HostIsKnown` for a mode that would ignore a remembered fleet key."""
    if entries and mode not in (None, Mode.TOFU):
        assert mode is not None
        raise HostIsKnown(
            f"a fleet key is remembered for {host}: mode {mode.name.lower()} would be a downgrade"
        )


def select_name_key(
    modes: Sequence[Mode], entries: Sequence[KnownHost], found: FoundService
) -> NameKey | None:
    """Return the newest name key of the remembered fleet keys; at a first contact that of the service record.

    A record's name key is of a fleet key that the record states, and the edge will have to show one of those.
    """
    held = newest_name_key(entries)
    stated = found.record.name_key if found.record is not None else None
    if stated is None or tuple(modes) != (Mode.TOFU,) or not stated.replaces(held):
        return held
    allowed = {entry.fingerprint for entry in entries} or found.fleet_keys
    return stated if fleet_key_fingerprint(stated.fleet_key) in allowed else held


def name_key_of_fleet(established: Established) -> NameKey | None:
    """Return the connection's name key if the fleet key that was shown has signed it, as it is remembered."""
    key = established.name_key
    signed = key is not None and fleet_key_fingerprint(key.fleet_key) == established.fleet_key
    return key if signed else None
