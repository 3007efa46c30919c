"""What a failed handshake is reported with: its error, and the server name where the client's share was read."""

from collections.abc import Callable

from smkex.core.errors import SmkexError
from smkex.core.wire.messages import ClientShare

# called with the error, and the server name: empty where the client named none, None where its share was not read
FailureObserver = Callable[[Exception, str | None], None]


def ignore_failure(error: Exception, server_name: str | None) -> None:
    """Observe nothing."""


def read_server_name(client_share: bytes) -> str | None:
    """Return the server name of a ClientShare that was refused, None where it is malformed."""
    try:
        return ClientShare.parse(client_share).server_name
    except SmkexError:
        return None
