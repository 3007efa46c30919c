"""Handshakes in progress by session id, so that a ClientNonce finds its ClientShare in either order of arrival.

Bounded in number and time: beyond `limit` the newest is refused, so each handshake of a flood holds one slot until its
deadline.
"""

import asyncio
from dataclasses import dataclass, field

from smkex.core.errors import Overloaded, UnexpectedMessage
from smkex.core.handshake.server import ServerHandshake
from smkex.transport.session import SessionTransport
from smkex.transport.subflow import Subflow


@dataclass(slots=True, eq=False)
class PendingSession:
    """One handshake and its subflows: 0 carried the ClientShare, each other one a ClientNonce."""

    handshake: ServerHandshake
    subflows: dict[int, Subflow] = field(default_factory=dict)
    transport: SessionTransport | None = None
    next_subflow: int = 1
    ended: bool = False


class PendingSessions:
    """All handshakes in progress of one listener."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._sessions: dict[bytes, PendingSession] = {}
        self._waiting: dict[bytes, list[asyncio.Future[PendingSession]]] = {}
        self._waiting_count = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, session_id: bytes) -> bool:
        return session_id in self._sessions

    def add(self, session: PendingSession) -> None:
        """Register a handshake. Raises `Overloaded`, or `UnexpectedMessage` for an id that is in use."""
        key = session.handshake.session_id
        if len(self._sessions) >= self.limit:
            raise Overloaded
        if key in self._sessions:
            raise UnexpectedMessage("this session id is in use")
        self._sessions[key] = session
        for waiter in self._waiting.get(key, []):
            if not waiter.done():
                waiter.set_result(session)

    def remove(self, session: PendingSession) -> None:
        self._sessions.pop(session.handshake.session_id, None)

    async def find(self, session_id: bytes) -> PendingSession:
        """Return the session of a ClientNonce, waiting for its ClientShare. The caller bounds the time."""
        if session_id in self._sessions:
            return self._sessions[session_id]
        if self._waiting_count >= self.limit:
            raise Overloaded
        waiter: asyncio.Future[PendingSession] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(session_id, []).append(waiter)
        self._waiting_count += 1
        try:
            return await waiter
        finally:
            self._waiting_count -= 1
            self._waiting[session_id].remove(waiter)
            if not self._waiting[session_id]:
                del self._waiting[session_id]
