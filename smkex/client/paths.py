"""The paths of a running connection: add, remove, re-home, and rejoin after a failure.

A path that was not removed by the client is joined again from its interface, after growing pauses and a bounded
number of times; the count starts afresh for one that was up for a while, and for one whose interface has a route to
the CDN after the host's network changed: Wi-Fi that is back after an hour is used at once.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from smkex.core.errors import MacMismatch, MisusedStream, SmkexError, StepChanged
from smkex.core.events import PathDropped
from smkex.core.wire.messages import Observation
from smkex.transport.driver import SessionDriver
from smkex.transport.join import join_session
from smkex.transport.routes.local_route import LocalRoute, describe_route
from smkex.transport.routes.network_changes import NetworkChanges
from smkex.transport.routes.paths import PathUnusable, find_egress
from smkex.transport.routes.target import Target

log = logging.getLogger("smkex.client.paths")

JOIN_TIMEOUT = 10.0  # seconds for one join
FIRST_REJOIN_DELAY = 0.5  # seconds before a broken path is joined again, then twice as long each time
LONGEST_REJOIN_DELAY = 30.0
MAX_REJOINS = 8  # consecutive attempts per interface
STABLE_AFTER = 60.0  # seconds after which a path counts as stable


@dataclass(slots=True)
class KnownPath:
    """A current or former path: interface, local address, how the edge saw it, its way out, and since when it is."""

    interface: str
    address: str
    observed: Observation
    route: LocalRoute
    since: float = 0.0


@dataclass(slots=True)
class PathMaintainer:
    """Maintains the paths of one session over transport `tcp`; `known` is by path number.

    `evidence` are sentences for the report about joins that were answered under other keys; with `strict` such an
    answer from a third path ends the session.
    """

    session: SessionDriver
    target: Target
    known: dict[int, KnownPath]
    strict: bool = False
    evidence: list[str] = field(default_factory=list)
    _attempts: Counter[str] = field(default_factory=Counter)
    _next: int = 2
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _adding: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _changes: NetworkChanges | None = None

    def start(self) -> None:
        """Watch the session's paths until it is over."""
        self.session.on_path_dropped = self._handle_path_dropped
        self.session.on_rehome_asked = lambda: self._start_task(self._rehome_as_asked())
        self.session.on_closed = self._stop

    async def add(self, interface: str) -> int:
        """Join from `interface`; return the path's number.

        Raises `SmkexError`, TimeoutError, or OSError where the locator cannot be reached from there.
        """
        async with self._adding:
            number = self._next
            if not self.session.can_add_path(number):
                raise MisusedStream("the session is over, or has as many paths as it may")
            # the number is used even if the join fails: the edge may have seen it succeed
            self._next += 1
            steps = self.session.join_steps
            try:
                async with asyncio.timeout(JOIN_TIMEOUT):
                    address, observed = await join_session(self.session, self.target, interface, number)
            except MacMismatch as error:
                self._record_forged_join(interface, error)
                raise
            except StepChanged:
                if len(steps) == 1 and steps == self.session.join_steps:
                    self._add_evidence(
                        f"the join from {interface} was refused as of another key step, which this end has not made:"
                        " that path is under attack, or a thief of the session's keys has taken the edge's end over"
                    )
                raise
            now = asyncio.get_running_loop().time()
            self.known[number] = KnownPath(
                interface, address, observed, describe_route(interface, self.target.vip), now
            )
            return number

    def _record_forged_join(self, interface: str, error: MacMismatch) -> None:
        """Record that another end than this session's answered at its locator."""
        third = interface not in (self.known[0].interface, self.known[1].interface)
        found = f"the join from {interface} was answered under other keys: "
        found += (
            "that path is under attack, or both paths of the key exchange were (A-A)"
            if third
            else "that path is under attack"
        )
        self._add_evidence(found)
        if third and self.strict:
            self.session.fail(error)

    def _add_evidence(self, found: str) -> None:
        if found not in self.evidence:
            self.evidence.append(found)
            log.warning("%s", found)

    def remove(self, path: int) -> None:
        """Remove a path at both ends. Raises `ValueError` for the last path and for an unknown one."""
        self.session.remove_path(path)

    async def rehome(self) -> None:
        """Leave the service port: path 0's interface joins at the locator, then path 0 goes.

        Afterwards no change of the routes to the service address touches the session. Raises as `add`.
        """
        host, port = self.session.get_extra_info("peername")[:2]
        service = (host, port) == (str(self.target.vip), self.target.service_port)
        if 0 not in self.session.paths or not service:
            return
        await self.add(self.known[0].interface)
        if 0 in self.session.paths:
            self.remove(0)

    async def _rehome_as_asked(self) -> None:
        for attempt in range(MAX_REJOINS):
            with contextlib.suppress(SmkexError, OSError, TimeoutError):
                return await self.rehome()
            await asyncio.sleep(_rejoin_delay(attempt))

    def _handle_path_dropped(self, event: PathDropped) -> None:
        lost = self.known.get(event.path)
        if event.removed or lost is None or not self.session.paths:
            return
        if asyncio.get_running_loop().time() - lost.since >= STABLE_AFTER:
            self._attempts[lost.interface] = 0
        if self._changes is None:
            self._changes = NetworkChanges(self._network_changed)
        self._start_task(self._join_again(lost.interface))

    async def _join_again(self, interface: str) -> None:
        while not self.session.is_closing():
            attempt = self._attempts[interface]
            if await self._wait_for_change(_rejoin_delay(attempt) if attempt < MAX_REJOINS else None):
                if not self._has_route(interface):
                    continue
                self._attempts[interface] = 0
            self._attempts[interface] += 1
            try:
                await self.add(interface)
                return
            except (SmkexError, OSError, TimeoutError) as error:
                log.info("join from %s: %s", interface, error)

    def _network_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait_for_change(self, seconds: float | None) -> bool:
        """Wait up to `seconds` (None: forever); return whether the host's network changed."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _has_route(self, interface: str) -> bool:
        try:
            find_egress(interface, self.target.vip)
        except PathUnusable:
            return False
        return True

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        if self._changes is not None:
            self._changes.close()
        for task in self._tasks:
            task.cancel()


def _rejoin_delay(attempt: int) -> float:
    return min(FIRST_REJOIN_DELAY * 2.0**attempt, LONGEST_REJOIN_DELAY)
