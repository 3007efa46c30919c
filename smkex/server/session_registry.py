"""Registry of the established sessions of this process: their limits, and what a drain does to them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection

from smkex.core.errors import Cancelled, Overloaded
from smkex.server.failures import FailureObserver, ignore_failure
from smkex.server.limits.admission import PrefixLimiter
from smkex.server.limits.held_bytes import HeldBytesBudget, HoldingSession, default_budget
from smkex.server.limits.memory_bound import MemoryBound, default_limit
from smkex.server.limits.server_limits import ServerLimits
from smkex.transport.driver import SessionDriver


class SessionRegistry:
    """Admits sessions, gives each the protocol that `make_protocol` returns, and forgets it when it closes.

    `failures` counts what was refused, by the name of the error.
    """

    def __init__(
        self,
        limits: ServerLimits,
        make_protocol: Callable[[SessionDriver], asyncio.Protocol],
        failures: Counter[str],
        observe_failure: FailureObserver = ignore_failure,
    ) -> None:
        self._limit = limits.sessions
        self._make_protocol = make_protocol
        self._failures = failures
        self._observe_failure = observe_failure
        self._per_prefix = PrefixLimiter(limits.sessions_per_prefix)
        self._sessions: set[SessionDriver] = set()
        self._movable: set[SessionDriver] = set()  # that began at a service address
        memory_limit = limits.memory_bytes or default_limit(limits.processes)
        self.memory = MemoryBound(memory_limit)
        self.budget = HeldBytesBudget(default_budget(memory_limit), self._end_session)
        # host and port, by IPv4 and by IPv6
        self.service_addresses: Collection[tuple[str, int]] = ()

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def sessions(self) -> list[SessionDriver]:
        return list(self._sessions)

    @property
    def sessions_at_service_port(self) -> int:
        """Sessions to which a change of the routes to the service address may cost a path that works."""
        return sum(session.is_alive(0) for session in self._movable)

    def has_room(self, address: str) -> bool:
        """Return whether a session from `address` would be admitted now."""
        if self.memory.is_full or len(self._sessions) >= self._limit:
            return False
        return not self._per_prefix.is_full(address)

    def check_room(self, address: str) -> None:
        """Refuse before keys are computed what `serve_session` would refuse. Raises `Overloaded`."""
        if not self.has_room(address):
            raise Overloaded

    def serve_session(self, session: SessionDriver) -> None:
        """Admit and start an established session, or end it with `overloaded`."""
        key = self._per_prefix.acquire(session.get_extra_info("peername")[0])
        if key is None or len(self._sessions) >= self._limit:
            if key is not None:
                self._per_prefix.release(key)
            overloaded = Overloaded()
            self._failures["Overloaded"] += 1
            self._observe_failure(overloaded, session.established.server_name)
            session.fail(overloaded)
            return
        self._sessions.add(session)
        # over MPTCP the kernel manages the paths: such a session cannot be asked to move them
        at_service = session.get_extra_info("sockname")[:2] in self.service_addresses
        if at_service and session.get_extra_info("transport") == "tcp":
            self._movable.add(session)

        def forget_session() -> None:
            self._sessions.discard(session)
            self._movable.discard(session)
            self._per_prefix.release(key)
            self.budget.remove_session(session)

        session.on_closed = forget_session
        self.budget.add_session(session)
        session.start(self._make_protocol(session))

    def _end_session(self, session: HoldingSession) -> None:
        self._failures["Overloaded"] += 1
        session.fail(Overloaded())

    def ask_to_rehome(self) -> None:
        """Ask every client to leave the service port, so that routes to it may change."""
        for session in self.sessions:
            session.ask_to_rehome()

    def close_sessions(self) -> None:
        """Close every session as the edge does when it stops: in order, or broken off where an end would mislead."""
        for session in self.sessions:
            if session.breaks_off:
                session.fail(Cancelled("the server stops"))
            else:
                session.close()
