"""A client's session or HTTPS connection, as far as it decides which services the client may use."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge.services.admission.pacing import SessionPacer
from edge.services.admission.request_rates import TokenBucket
from edge.services.host_index import canonical_host
from edge.telemetry.connection_facts import ConnectionFacts

if TYPE_CHECKING:
    from edge.services.active_service import ActiveService


class ServedConnection:
    """What is known of one connection. `server_name` is empty where the client named none."""

    __slots__ = (
        "admitted",
        "bucket",
        "catalogue",
        "client",
        "facts",
        "is_limited",
        "mode",
        "pacer",
        "path_confirmed",
        "server_name",
    )

    def __init__(
        self,
        server_name: str = "",
        client: str = "",
        mode: str = "",
        path_confirmed: Callable[[], bool] = lambda: False,
        facts: ConnectionFacts | None = None,
    ) -> None:
        self.facts = facts or ConnectionFacts(client=client)  # for the access log, and the origin
        self.server_name = server_name
        self.client = client
        self.mode = mode  # of the key exchange; empty over HTTPS
        self.path_confirmed = path_confirmed
        # the service in force that admitted the last request of this connection
        self.admitted: ActiveService | None = None
        self.catalogue: object = None  # by which the fast path checked the server name
        # of that service: whether it has limits, what requests take from, and how fast responses are sent
        self.is_limited = False
        self.bucket: TokenBucket | None = None
        self.pacer: SessionPacer | None = None

    @classmethod
    def of_transport(cls, transport: Any, owner: int = 0) -> "ServedConnection":
        """Read what a session's transport knows, or that of an HTTPS connection. `owner` is this edge's id."""
        facts = ConnectionFacts.of_transport(transport, owner)
        peer = transport.get_extra_info("peername")
        client = peer[0] if isinstance(peer, tuple) and peer else ""
        established = transport.get_extra_info("smkex")
        if established is not None:
            confirmed = transport.get_extra_info("path_confirmed") or (lambda: False)
            return cls(
                _canonical_name(established.server_name),
                client,
                established.mode.name.lower(),
                confirmed,
                facts,
            )
        tls = transport.get_extra_info("ssl_object")
        return cls(_canonical_name(getattr(tls, "server_name_indication", None) or ""), client, facts=facts)


def _canonical_name(name: str) -> str:
    try:
        return canonical_host(name)
    except ValueError:
        return name  # as it is, it belongs to no service
