"""An accepted session as asyncio streams, with its report."""

import asyncio
from dataclasses import dataclass

from smkex.core.errors import SmkexError
from smkex.core.keys.exporter import SessionExporter
from smkex.server.report import SessionReport, report_session
from smkex.transport.counting_reader import CountingReader
from smkex.transport.driver import SessionDriver, as_transport

READ_LIMIT = 1 << 20  # bytes that wait to be read before the sender is held back


@dataclass(slots=True, eq=False)
class AcceptedConnection:
    """An accepted session: read from `reader`, write to `writer`, ask `report()`."""

    reader: CountingReader
    writer: asyncio.StreamWriter
    session: SessionDriver

    @property
    def exporter(self) -> SessionExporter:
        """The session's tag and exports, for protocols that bind themselves to this session."""
        return self.session.established.exporter

    def report(self) -> SessionReport:
        """Return the path report of this session."""
        return report_session(self.session)

    async def close(self) -> None:
        """End the stream and wait until the client has acknowledged it."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (SmkexError, OSError):
            return


class StreamsProtocol(asyncio.StreamReaderProtocol):
    """The protocol of a session that is read and written by streams; `connection` exists once it has begun."""

    def __init__(self, session: SessionDriver) -> None:
        loop = asyncio.get_running_loop()
        reader = CountingReader(READ_LIMIT)
        super().__init__(reader, loop=loop)
        writer = asyncio.StreamWriter(as_transport(session), self, reader, loop)
        self.connection = AcceptedConnection(reader, writer, session)
