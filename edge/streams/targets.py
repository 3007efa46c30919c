"""The targets of a service of kind tcp: they take turns, and the next is tried where one does not answer."""

import asyncio
import time
from collections.abc import Sequence

from edge.origins.connecting import OriginConnector
from edge.telemetry.stream_record import StreamRecord
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
        self, targets: Sequence[TcpTarget], record: StreamRecord
    ) -> tuple[TcpTarget, Streams]:
        """Connect to the target whose turn it is, or to one after it. Raises `NoTarget`."""
        figures = record.figures
        first, self._turn = self._turn % len(targets), self._turn + 1
        reasons = []
        for target in (*targets[first:], *targets[:first]):
            began, failed = time.monotonic(), True
            record.target = (
                f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
            )
            try:
                streams = await self._connect(target)
                failed = False
            except (OSError, TimeoutError) as error:
                reasons.append(f"{target.host} port {target.port}: {error or 'no answer in time'}")
                continue
            finally:
                record.target_seconds = time.monotonic() - began
                figures.count_origin(record.target_seconds, failed=failed)
            return target, streams
        raise NoTarget("; ".join(reasons))

    async def _connect(self, target: TcpTarget) -> Streams:
        async with asyncio.timeout(target.connect_timeout):
            connected = await self._connector.open_socket(target.host, target.port)
            reader, writer = await asyncio.open_connection(sock=connected, limit=READ_LIMIT)
        return Streams.of_tcp(reader, writer)
