"""Carry each session's stream to a TCP service."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass

from smkex.core.errors import Cancelled, SmkexError
from smkex.server.connection import AcceptedConnection
from smkex.server.proxy_header import build_proxy_header
from smkex.transport.relay import IDLE_TIMEOUT, Streams, copy_both_ways

log = logging.getLogger("smkex.server.tcp_target")

CONNECT_TIMEOUT = 5.0  # seconds
READ_LIMIT = 256 << 10


class TargetFailed(ConnectionError):
    """The TCP service could not be connected, or broke off; the session is broken off too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRelay:
    """A callback of `start_server`: connects to `host`:`port` for each session, and copies both ways.

    Each direction ends by itself. With `proxy_protocol` a PROXY protocol v2 header goes first. Times are in seconds;
    `idle_timeout` ends a session without a byte in either direction.
    """

    host: str
    port: int
    proxy_protocol: bool = False
    connect_timeout: float = CONNECT_TIMEOUT
    idle_timeout: float = IDLE_TIMEOUT

    async def __call__(self, connection: AcceptedConnection) -> None:
        target = await self._connect()
        session = connection.session
        if self.proxy_protocol:
            target.writer.write(build_proxy_header(session))
        client = Streams(
            connection.reader, connection.writer, lambda: session.fail(Cancelled("the service broke off"))
        )
        try:
            await copy_both_ways(client, target, idle=self.idle_timeout)
        except TimeoutError:
            raise TargetFailed(f"no byte in {self.idle_timeout:g} s") from None
        except (SmkexError, OSError) as error:
            raise TargetFailed(str(error) or type(error).__name__) from None
        with contextlib.suppress(OSError):
            await target.close()

    async def _connect(self) -> Streams:
        try:
            async with asyncio.timeout(self.connect_timeout):
                reader, writer = await asyncio.open_connection(self.host, self.port, limit=READ_LIMIT)
        except (OSError, TimeoutError) as error:
            reason = str(error) or "no answer in time"
            log.warning("cannot connect to %s port %d: %s", self.host, self.port, reason)
            raise TargetFailed(f"{self.host} port {self.port}: {reason}") from None
        return Streams.of_tcp(reader, writer)
