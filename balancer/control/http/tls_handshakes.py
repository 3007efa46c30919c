"""TLS in front of uvicorn's HTTP: handshakes bounded in time and number, and connections that stay small.

asyncio's own listener lets a handshake take 60 s, counts none, and gives every connection a buffer of 256 KiB, which
10,000 edges would make gigabytes of.
"""

import asyncio
import functools
import logging
import ssl
import time
from asyncio import sslproto
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 10.0
GOODBYE_SECONDS = 5.0  # until a client answers our close_notify
MOST = 1_000  # handshakes at once, some 100 KB each; a core ends about that many in a second
GIVES_WAY_AFTER = 3.0  # seconds: where MOST are under way, the oldest makes room once it has had this
READ_BYTES = 16 * 1024  # a record: nothing that is asked here is much longer


class TlsHandshakes:
    """Those that are under way, oldest first, and what is allowed to them.

    When there are too many, a client that keeps us waiting makes room for the next; one that merely came in a crowd
    does not, for then no handshake would ever complete.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        seconds: float = HANDSHAKE_SECONDS,
        most: int = MOST,
        gives_way_after: float = GIVES_WAY_AFTER,
    ) -> None:
        self.context, self.seconds = context, seconds
        self._most, self._gives_way_after = most, gives_way_after
        self._under_way: dict[TlsConnection, float] = {}
        sslproto.SSLProtocol.max_size = READ_BYTES

    def __len__(self) -> int:
        return len(self._under_way)

    def admit(self, connection: "TlsConnection") -> bool:
        """Let a handshake begin, if need be in the place of the oldest."""
        now = time.monotonic()
        if len(self._under_way) >= self._most:
            oldest, since = next(iter(self._under_way.items()))
            if now - since < self._gives_way_after:
                return False
            oldest.give_up()
        self._under_way[connection] = now
        return True

    def ended(self, connection: "TlsConnection") -> None:
        self._under_way.pop(connection, None)


class TlsConnection(asyncio.Protocol):
    """A TCP connection until its TLS handshake is done; then it is the protocol's that `protocol` makes."""

    def __init__(
        self, handshakes: TlsHandshakes, protocol: Callable[..., asyncio.Protocol], **options: Any
    ) -> None:
        self._handshakes = handshakes
        self._protocol = functools.partial(protocol, **options)
        self._early: list[bytes] = []
        self._lost = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._handshakes.admit(self):
            self._task = asyncio.get_running_loop().create_task(self._secure(transport))
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Keep what came along with the client's Finished: `_secure` goes on in the loop's next turn."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True

    def give_up(self) -> None:
        self._handshakes.ended(self)
        if self._task is not None:
            self._task.cancel()

    async def _secure(self, transport: asyncio.Transport) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                self,
                self._handshakes.context,
                server_side=True,
                ssl_handshake_timeout=self._handshakes.seconds,
                ssl_shutdown_timeout=GOODBYE_SECONDS,
            )
        except OSError as error:  # ssl.SSLError is one, and so is what a late handshake ends with
            error.__traceback__ = None  # which would hold the connection until the collector comes by
            log.debug("a handshake failed", extra={"cause": str(error)})
            return
        finally:
            self._handshakes.ended(self)
        if secured is not None and not self._lost:
            self._hand_over(secured)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        protocol = self._protocol()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(b"".join(self._early))
