"""httpx transports over sessions, with and without an event loop."""

from smkex.client.http.sync_transport import SmkexSyncTransport
from smkex.client.http.transport import SmkexTransport

__all__ = ["SmkexSyncTransport", "SmkexTransport"]
