"""Handshakes in progress by session id, so that a ClientNonce finds its ClientShare in either order of arrival.

Bounded in number and time: beyond `limit` the newest is refused, so each handshake of a flood holds one slot until its
deadline.
"""

from smkex.core.errors import Overloaded, UnexpectedMessage
from smkex.server.handshake.subflow import HandshakeSubflow, PendingSession


class PendingSessions:
    """All handshakes in progress of one listener, and the subflows whose ClientNonce came before its ClientShare."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting_count = 0
        self._sessions: dict[bytes, PendingSession] = {}
        self._waiting: dict[bytes, list[HandshakeSubflow]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, session_id: bytes) -> bool:
        return session_id in self._sessions

    def find(self, session_id: bytes) -> PendingSession | None:
        return self._sessions.get(session_id)

    def add(self, session: PendingSession) -> None:
        """Register a handshake. Raises `Overloaded`, or `UnexpectedMessage` for an id that is in use."""
        key = session.handshake.session_id
        if len(self._sessions) >= self.limit:
            raise Overloaded
        if key in self._sessions:
            raise UnexpectedMessage("this session id is in use")
        self._sessions[key] = session

    def remove(self, session: PendingSession) -> None:
        self._sessions.pop(session.handshake.session_id, None)

    def add_waiting(self, session_id: bytes, subflow: HandshakeSubflow) -> None:
        """Keep a subflow until its ClientShare comes. Raises `Overloaded`."""
        if self.waiting_count >= self.limit:
            raise Overloaded
        self.waiting_count += 1
        self._waiting.setdefault(session_id, []).append(subflow)

    def remove_waiting(self, session_id: bytes, subflow: HandshakeSubflow) -> None:
        self.waiting_count -= 1
        waiting = self._waiting[session_id]
        waiting.remove(subflow)
        if not waiting:
            del self._waiting[session_id]

    def take_waiting(self, session_id: bytes) -> list[HandshakeSubflow]:
        """Remove and return the subflows that waited for this session."""
        waiting = self._waiting.pop(session_id, [])
        self.waiting_count -= len(waiting)
        return waiting
