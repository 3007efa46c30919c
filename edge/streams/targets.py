"""The targets of a service of kind tcp: they take turns, and the next is tried where one does not answer."""

import asyncio
import time
from collections.abc import Sequence

from edge.origins.connecting import OriginConnector
from edge.telemetry.figures import ServiceFigures
from services.document import TcpTarget
from smkex.transport.relay import Streams

READ_LIMIT = 256 << 10


class NoTarget(ConnectionError):
    """No target could be connected; the text has each with its reason."""


class TargetTurns:
    """Connects to targets by `connector`, which checks their addresses; `turn` grows with each session."""

    def __init__(self, connector: OriginConnector) -> None:
        self._connector = connector
        self._turn = 0

    async def connect_next(
        self, targets: Sequence[TcpTarget], figures: ServiceFigures
    ) -> tuple[TcpTarget, Streams]:
        """Connect to the target whose turn it is, or to one after it. Raises `NoTarget`."""
        first, self._turn = self._turn % len(targets), self._turn + 1
        reasons = []
        for target in (*targets[first:], *targets[:first]):
            began = time.monotonic()
            try:
                streams = await self._connect(target)
            except (OSError, TimeoutError) as error:
                figures.count_origin(time.monotonic() - began, failed=True)
                reasons.append(f"{target.host} port {target.port}: {error or 'no answer in time'}")
                continue
            figures.count_origin(time.monotonic() - began, failed=False)
            return target, streams
        raise NoTarget("; ".join(reasons))

    async def _connect(self, target: TcpTarget) -> Streams:
        async with asyncio.timeout(target.connect_timeout):
            connected = await self._connector.open_socket(target.host, target.port)
            reader, writer = await asyncio.open_connection(sock=connected, limit=READ_LIMIT)
        return Streams.of_tcp(reader, writer)
