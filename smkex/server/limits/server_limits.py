"""Limits of a server: what clients may hold of it, together and from one prefix."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Limits of one process; `processes` share the machine's memory where `memory_bytes` is not given."""

    pending_handshakes: int = 4096
    pending_tls: int = 1024
    handshakes_per_prefix: int = 512  # subflows, from one /24 or /56
    handshake_timeout: float = 10.0  # seconds
    sessions: int = 20_000
    sessions_per_prefix: int = 2_500
    memory_bytes: int | None = None
    processes: int = 1
