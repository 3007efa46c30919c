"""What is known of the session, or the HTTPS connection, that a request came by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class SeenSubflow(Protocol):
    """A subflow as the edge saw it."""

    @property
    def ingress_id(self) -> int: ...
    @property
    def client(self) -> Any: ...


HTTPS_MODE = "https"
SHIELD_MODE = "shield"


@dataclass(slots=True, eq=False)
class ConnectionFacts:
    """Key-exchange mode, transport, owner, and each path's client address and ingress edge, also of closed paths."""

    mode: str = ""
    transport: str = ""
    owner: int = 0
    client: str = ""
    observed: Mapping[int, SeenSubflow] = field(default_factory=dict)
    path_confirmed: Callable[[], bool] | None = (
        None  # whether path 1 is confirmed too; None without a session
    )
    # Sennit-Session as the edge that has the client's session wrote it, at the edge that shields the service
    given_session: str = ""
    session_id: str = ""  # in hexadecimal digits; empty without a session
    client_port: int = 0
    server: str = ""  # address and port that the client connected to
    server_port: int = 0
    # what a line of the access log has of this connection, and the number of paths that it was made of
    fragment: bytes = field(default=b"", repr=False)
    fragment_paths: int = field(default=-1, repr=False)

    @classmethod
    def of_transport(cls, transport: Any, owner: int) -> "ConnectionFacts":
        """Read the facts of a session's transport, or of an HTTPS connection's."""
        established = transport.get_extra_info("smkex")
        peer = transport.get_extra_info("peername")
        client = _plain_address(peer[0]) if isinstance(peer, tuple) and peer else ""
        if established is None:
            secure = transport.get_extra_info("ssl_object") is not None
            found = cls(HTTPS_MODE if secure else "clear", "tls" if secure else "tcp", owner, client)
        else:
            found = cls(
                established.mode.name.lower(),
                transport.get_extra_info("transport") or "tcp",
                owner,
                client,
                transport.observed,
                transport.get_extra_info("path_confirmed"),
            )
        if established is not None:
            found.session_id = established.session_id.hex()
        found.client_port = peer[1] if client else 0
        own = transport.get_extra_info("sockname")
        if isinstance(own, tuple) and own:
            found.server, found.server_port = _plain_address(own[0].partition("%")[0]), own[1]
        return found

    def path_facts(self) -> list[tuple[int, str, int]]:
        """Return number, client address and ingress edge of each path."""
        return [
            (path, str(seen.client.address), seen.ingress_id) for path, seen in sorted(self.observed.items())
        ]

    def session_field(self) -> str:
        """Return the value of Sennit-Session for the origin: a dictionary of structured fields (RFC 9651)."""
        if self.given_session:
            return self.given_session
        parts = [f"mode={self.mode}", f"transport={self.transport}", f"owner={self.owner}"]
        if self.path_confirmed is not None:
            parts.append(f"confirmed=?{self.path_confirmed():d}")
        if self.observed:
            ingress = " ".join(f"{edge};path={path}" for path, _, edge in self.path_facts())
            parts.append(f"ingress=({ingress})")
        return ", ".join(parts)


_UNKNOWN = ConnectionFacts()


def facts_of(connection: Any) -> ConnectionFacts:
    """Return the facts of what the HTTP server has of a connection."""
    found: ConnectionFacts = getattr(connection, "facts", _UNKNOWN)
    return found


def _plain_address(address: str) -> str:
    return address.removeprefix("::ffff:") if "." in address else address
