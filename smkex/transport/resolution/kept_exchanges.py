"""Connections to resolvers over TLS and HTTPS that stay open between look-ups (RFC 7858 section 3.4).

Look-ups of one event loop share them: of one resolver, interface and source address, so never of another path or
network. One that has died meanwhile is replaced by a fresh one to the same resolver, authenticated anew.
"""

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import dns.message
import dns.name
import dns.rdatatype

from smkex.transport.resolution.resolver_address import ResolverAddress
from smkex.transport.routes.paths import find_egress

IDLE_TIMEOUT = 20.0  # seconds a connection without questions stays: servers close theirs after some 30
KEPT_LIMIT = 8  # connections without questions of one event loop
REUSED_TIMEOUT = (
    1.0  # seconds for an answer by a connection of an earlier look-up, which may have died silently
)


class Exchange(Protocol):
    """Questions to one resolver by one interface."""

    async def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message: ...
    async def close(self) -> None: ...


MakeExchange = Callable[[ResolverAddress, str], Exchange]


@dataclass(frozen=True, slots=True)
class _Way:
    where: ResolverAddress
    interface: str
    source: str  # the interface's address, which another network changes


class KeptExchange:
    """An exchange that look-ups share. One of an earlier look-up may have died: a question is then asked afresh."""

    def __init__(self, make: Callable[[], Exchange]) -> None:
        self._make = make
        self._exchange = make()
        self._replaced: list[Exchange] = []
        self.works = False  # the present one has answered
        self.doubtful = False  # the present one has not answered since an earlier look-up
        self.users = 0
        self.closes_at = 0.0  # by the loop's clock, while no look-up uses it

    async def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        """Raises TimeoutError, OSError, `PathUnusable`."""
        exchange = self._exchange
        if self.doubtful:
            try:
                async with asyncio.timeout(REUSED_TIMEOUT):
                    answer = await exchange.ask(name, kind)
                self.doubtful = False
                return answer
            except TimeoutError:
                if self.doubtful:
                    self._replace(exchange)
            except OSError:
                self._replace(exchange)
            exchange = self._exchange
        try:
            answer = await exchange.ask(name, kind)
        except OSError:
            self.works = False
            raise
        self.works = True
        return answer

    async def close(self) -> None:
        await self.close_replaced()
        await self._exchange.close()

    async def close_replaced(self) -> None:
        """Close what was replaced, once no question waits for it."""
        while self._replaced:
            await self._replaced.pop().close()

    def _replace(self, failed: Exchange) -> None:
        """Put a fresh exchange in place of one that failed; the first question to fail makes it for all."""
        if self._exchange is failed:
            self._replaced.append(failed)
            self._exchange, self.works, self.doubtful = self._make(), False, False


class ExchangeKeeper:
    """The kept exchanges of one event loop."""

    def __init__(self) -> None:
        self._kept: dict[_Way, KeptExchange] = {}
        self._idle: dict[_Way, KeptExchange] = {}  # those without a user, the oldest first
        self._closing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def acquire(self, where: ResolverAddress, interface: str, make: MakeExchange) -> KeptExchange:
        """Return the exchange of this resolver and path; `release` ends its use. Raises `PathUnusable`."""
        way = _Way(where, interface, find_egress(interface, where.address).source)
        kept = self._kept.get(way)
        if kept is None:
            kept = self._kept[way] = KeptExchange(lambda: make(where, interface))
        self._idle.pop(way, None)
        kept.users += 1
        return kept

    async def release(self, kept: KeptExchange) -> None:
        """End a use; after the last, an exchange that works stays for `IDLE_TIMEOUT`, any other is closed."""
        kept.users -= 1
        if kept.users:
            return
        (way,) = (way for way, one in self._kept.items() if one is kept)
        if not kept.works:
            del self._kept[way]
            await kept.close()
            return
        kept.doubtful = True
        kept.closes_at = asyncio.get_running_loop().time() + IDLE_TIMEOUT
        self._idle[way] = kept
        if self._closing is None or self._closing.done():
            self._closing = asyncio.create_task(self._close_idle())
        while len(self._idle) > KEPT_LIMIT:
            await self._close_oldest()
        if not kept.users:
            await kept.close_replaced()

    async def _close_idle(self) -> None:
        """Close each when its time has come; all where the loop ends, which cancels its tasks."""
        try:
            while self._idle:
                left = next(iter(self._idle.values())).closes_at - asyncio.get_running_loop().time()
                if left > 0:
                    await asyncio.sleep(left)
                else:
                    await self._close_oldest()
        finally:
            while self._idle:
                await self._close_oldest()

    async def _close_oldest(self) -> None:
        way = next(iter(self._idle))
        del self._kept[way]
        await self._idle.pop(way).close()


_keepers: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, ExchangeKeeper]" = weakref.WeakKeyDictionary()


def running_keeper() -> ExchangeKeeper:
    """Return the keeper of the running event loop."""
    return _keepers.setdefault(asyncio.get_running_loop(), ExchangeKeeper())
