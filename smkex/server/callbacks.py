"""Run the callback of each session in a task of its own."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from smkex.core.errors import Cancelled, SmkexError
from smkex.server.connection import AcceptedConnection, StreamsProtocol
from smkex.transport.driver import SessionDriver

log = logging.getLogger("smkex.server")

SessionCallback = Callable[[AcceptedConnection], Awaitable[None]]


class CallbackRunner:
    """Makes the protocol of each session and runs a callback on its streams.

    A session is closed when its callback returns. When it raises, the session is broken off, so that what it had
    written does not look complete.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start_callback(self, session: SessionDriver, callback: SessionCallback) -> asyncio.Protocol:
        """Return the session's protocol, and run `callback` in a task."""
        protocol = StreamsProtocol(session)
        task = asyncio.create_task(self._run_callback(protocol.connection, callback))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return protocol

    async def wait_finished(self) -> None:
        """Wait until every callback has returned."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Cancel every callback, which breaks off its session."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_callback(self, connection: AcceptedConnection, callback: SessionCallback) -> None:
        try:
            await callback(connection)
        except asyncio.CancelledError:
            connection.session.fail(Cancelled("the server stops"))
            raise
        except (SmkexError, ConnectionError, asyncio.IncompleteReadError) as error:
            log.info("a session ended early: %s: %s", type(error).__name__, error)
            connection.session.fail(Cancelled("the application failed"))
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a session's callback failed", "exception": error}
            )
            connection.session.fail(Cancelled("the application failed"))
        else:
            await connection.close()
