"""Sessions opened for local programs: bounded in number, each reported when it begins and ends."""

import asyncio
from collections.abc import Callable
from typing import Any

from smkex.client.connect import connect
from smkex.client.connection import Connection
from smkex.client.events import Observer, SessionEnded, SessionOpened
from smkex.client.options import ConnectOptions

SESSION_SLOT_TIMEOUT = 10.0  # seconds that a session waits for another one's end


class TooManySessions(OSError):
    """The limit of open sessions is reached."""

    hint = "--max-sessions allows more"


class BoundedSessions:
    """Opens at most `limit` sessions at a time. `options` are those of `connect`."""

    def __init__(self, options: ConnectOptions, on_event: Observer, limit: int) -> None:
        self._options = options
        self._emit = on_event
        self._slots = asyncio.Semaphore(limit)
        self._open: dict[Connection, str] = {}

    def list_sessions(self) -> list[dict[str, Any]]:
        """Return the path report of each open session, for `SessionList`."""
        reports = [(host, connection.report()) for connection, host in self._open.items()]
        return [{"host": host, "text": report.text(), **report.as_dict()} for host, report in reports]

    def progress(self) -> int:
        """Return a number that changes while any open session's streams advance, or one opens or ends."""
        return sum(1 + connection.session.progress for connection in self._open)

    async def open_session(self, host: str, port: int) -> Connection:
        """Raises as `connect`, and `TooManySessions` if no slot becomes free in time."""
        try:
            async with asyncio.timeout(SESSION_SLOT_TIMEOUT):
                await self._slots.acquire()
        except TimeoutError:
            raise TooManySessions("the limit of open sessions is reached") from None
        try:
            connection = await connect(host, port=port, options=self._options)
        except BaseException:
            self._slots.release()
            raise
        self._open[connection] = host
        self._emit(SessionOpened(host, connection.report()))
        connection.when_closed(self._when_closed(host, connection))
        return connection

    def _when_closed(self, host: str, connection: Connection) -> Callable[[], None]:
        def closed() -> None:
            self._slots.release()
            del self._open[connection]
            self._emit(SessionEnded(host, connection.report()))

        return closed
