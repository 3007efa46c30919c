"""One connection of a client: it answers by the fast path, and has uvicorn's protocol while a request needs that.

That protocol takes three times the memory of all else that HTTP has of an idle session.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

NEVER: Final = float("inf")


class GeneralProtocol(Protocol):
    """What answers requests that the fast path leaves, as `Http1Protocol` does."""

    deadline: float

    @property
    def is_idle(self) -> bool: ...
    def connection_made(self, transport: Any) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> bool: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def on_deadline(self) -> None: ...
    def shutdown(self) -> None: ...
    def release(self) -> None: ...


class ConnectionOptions:
    """What the connections of one server share. `idle` and `write_wait` in seconds.

    `open_connection` makes of a transport what the fast path and the application have of a connection;
    `create_general` makes the protocol of what it returned.
    """

    def __init__(
        self,
        create_general: Callable[[Any], GeneralProtocol],
        fast_path: Callable[[bytes, Any], list[bytes] | None] | None,
        open_connection: Callable[[Any], Any] | None,
        clock: Callable[[], float],
        idle: float,
        write_wait: float,
    ) -> None:
        self.create_general = create_general
        self.fast_path = fast_path
        self.open_connection = open_connection
        self.clock = clock
        self.idle = idle
        self.write_wait = write_wait
        self.connections: set[ServerConnection] = set()


class ServerConnection:
    """A protocol in asyncio's sense. The server calls `check` every second; `lost` is called at the end."""

    __slots__ = (
        "_connection",
        "_deadline",
        "_general",
        "_is_used",
        "_is_write_paused",
        "_lost",
        "_options",
        "_transport",
    )

    def __init__(self, options: ConnectionOptions, lost: Callable[[], object] | None) -> None:
        self._options = options
        self._lost = lost
        self._transport: Any = None
        self._connection: Any = None  # what `open_connection` returned, from the first request on
        self._general: Any = None  # a GeneralProtocol, from a request that needs it until it is idle
        self._deadline = NEVER
        self._is_used = False  # the fast path answered since the last check
        self._is_write_paused = False

    # --- asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._options.connections.add(self)
        self._deadline = self._options.clock() + self._options.idle

    def data_received(self, data: bytes) -> None:
        general = self._general
        if general is None or general.is_idle:
            if self._transport is None or self._transport.is_closing():
                return
            fast_path = self._options.fast_path
            if self._connection is None and self._options.open_connection is not None:
                self._connection = self._options.open_connection(self._transport)
            if fast_path is not None and not self._is_write_paused:
                pieces = fast_path(data, self._connection)
                if pieces is not None:
                    self._is_used = True
                    for piece in pieces:
                        self._transport.write(piece)
                    return
            if general is None:
                general = self._make_general()
        general.data_received(data)

    def eof_received(self) -> bool:
        """Return False to close once everything written has left, as without a request in progress."""
        return bool(self._general.eof_received()) if self._general is not None else False

    def connection_lost(self, exc: Exception | None) -> None:
        self._options.connections.discard(self)
        general, self._general = self._general, None
        if general is not None:
            general.connection_lost(exc)
        self._transport = self._connection = None  # it refers to this
        self._deadline = NEVER
        if self._lost is not None:
            self._lost()

    def pause_writing(self) -> None:
        self._is_write_paused = True
        self._deadline = self._options.clock() + self._options.write_wait
        if self._general is not None:
            self._general.pause_writing()

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._deadline = self._options.clock() + self._options.idle
        if self._general is not None:
            self._general.resume_writing()

    # --- called by the server

    @property
    def has_general(self) -> bool:
        return self._general is not None

    def check(self, now: float) -> None:
        """Enforce the deadline of what the client does not do."""
        if self._general is not None:
            if self._general.deadline < now:
                self._general.on_deadline()
        elif self._is_used and not self._is_write_paused:
            self._is_used = False
            self._deadline = now + self._options.idle
        elif self._deadline < now:
            self._deadline = NEVER
            if self._is_write_paused:
                self._transport.abort()
            else:
                self._transport.close()

    def release_general(self, now: float) -> None:
        """Let the general protocol go while no request is in progress; the next that needs one makes another."""
        general = self._general
        if general is None or self._is_write_paused or not general.is_idle or self._transport.is_closing():
            return
        self._general = None
        general.release()
        self._deadline = now + self._options.idle

    def shutdown(self) -> None:
        """Close after the response in progress."""
        if self._general is not None:
            self._general.shutdown()
        elif self._transport is not None:
            self._transport.close()

    def _make_general(self) -> Any:
        general = self._general = self._options.create_general(self._connection)
        general.connection_made(self._transport)
        if self._is_write_paused:
            general.pause_writing()
        return general
