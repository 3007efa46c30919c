"""The origins of one service: which one a request goes to, and where it goes when that one fails.

Primaries are asked before backups. While none of either may be asked, all are: an edge that asks none serves none.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from edge.http.fields import Pairs
from edge.http.origin_response import OriginFailed, OriginResponse
from edge.origins.checks.watched_origin import WatchedOrigin
from edge.origins.exchange import IDEMPOTENT_METHODS
from edge.origins.origin_client import OriginClient
from edge.origins.origin_state import OriginState
from edge.origins.selection import HashedUrl, WeightedTurns
from edge.origins.shield.invalidations import InvalidateShield, Invalidation
from edge.origins.shield_exchange import SHIELD_CLIENT_FIELD, is_refused_by_shield
from services.origins import Origin, OriginGroup, Retry

log = logging.getLogger("edge.origins")

UNUSABLE_STATUS = frozenset({502, 503, 504})  # of an origin that another may stand in for
URL_LIMIT = 500  # characters of a URL in the log


@dataclass(frozen=True, slots=True, eq=False)
class GroupMember:
    """One origin of a group."""

    origin: Origin
    client: OriginClient
    state: OriginState
    watched: WatchedOrigin | None = None

    @property
    def name(self) -> str:
        return self.origin.name

    @property
    def weight(self) -> int:
        return self.origin.weight


class ServiceOrigins:
    """The origins of `service`; an `OriginSide` of the proxy."""

    def __init__(
        self,
        service: str,
        members: Sequence[GroupMember],
        selection: WeightedTurns | HashedUrl,
        retry: Retry,
        *,
        shield: Callable[[str], "GroupMember | None"] | None = None,
        shield_fields: Callable[[], Pairs] = list,
        invalidate_shield: InvalidateShield | None = None,
        on_use: Callable[[WatchedOrigin, float], None] | None = None,
        on_close: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = service or "(default)"
        self.members = tuple(members)
        self._groups = [
            tuple(member for member in self.members if member.origin.group is group) for group in OriginGroup
        ]
        self._selection = selection
        self._retry = retry
        self._watched = [each.watched for each in self.members if each.watched is not None]
        self._shield = shield
        self._shield_fields = shield_fields
        self._invalidate_shield = invalidate_shield
        self._on_use = on_use
        self._on_close = on_close
        self._clock = clock

    async def close(self) -> None:
        """Give the origins back to their registry, or close them where there is none."""
        if self._on_close is not None:
            return await self._on_close()
        for member in self.members:
            await member.client.close()

    def is_direct(self, key: str) -> bool:
        """Whether a miss of `key` goes to an origin from here, and not to the edge that shields it."""
        return self._shield is None or self._shield(key) is None

    async def invalidate(self, invalidation: Invalidation) -> None:
        """Tell the edges that shield this service, if any do."""
        if self._invalidate_shield is not None:
            await self._invalidate_shield(invalidation)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        target: bytes,
        headers: Pairs,
        body: AsyncIterator[bytes] | None = None,
        *,
        key: str = "",
        passing: str | None = None,
        direct: bool = True,
    ) -> AsyncIterator[OriginResponse]:
        """Send a request, as `edge.services.origin_side` describes; to another origin if one fails before its response.

        A request that is not idempotent, or has a body, goes elsewhere only if nothing of it was sent.
        """
        exchange = _Exchange(method, target, headers, body, key or _url_of(headers, target), passing)
        now = self._clock()
        until = now + self._retry.deadline
        if self._on_use is not None:
            for watched in self._watched:
                self._on_use(watched, now)
        async with AsyncExitStack() as stack:
            member, answer = None, None
            if not direct and self._shield is not None and (member := self._shield(exchange.key)) is not None:
                answer = await self._ask_shield(stack, member, exchange, until)
            if member is None or answer is None:
                member, answer = await self._ask_origins(stack, exchange, until)
            try:
                yield answer
            except OriginFailed as error:
                self._record_failure(member, error)
                self._log_failure(member, exchange, error.cause)
                raise

    async def _ask_shield(
        self, stack: AsyncExitStack, peer: GroupMember, exchange: "_Exchange", until: float
    ) -> OriginResponse | None:
        """Ask the edge that shields the key; None if it fails, and the origins are asked from here."""
        attempt = await stack.enter_async_context(AsyncExitStack())
        own = [(SHIELD_CLIENT_FIELD, _client_of(exchange.headers)), *self._shield_fields()]
        forwarded = replace(exchange, headers=[*exchange.headers, *own])
        try:
            answer = await self._ask_member(attempt, peer, forwarded, until)
        except OriginFailed as error:
            await attempt.aclose()
            self._log_failure(peer, exchange, error.cause)
            return None
        if not is_refused_by_shield(answer):
            return answer
        self._log_failure(peer, exchange, f"status {answer.status} of the shield itself")
        await attempt.aclose()
        return None

    async def _ask_origins(
        self, stack: AsyncExitStack, exchange: "_Exchange", until: float
    ) -> tuple[GroupMember, OriginResponse]:
        """Ask origins in turn until one answers; raises `OriginFailed` of the last."""
        tried: list[GroupMember] = []
        chosen = self._choose_member(exchange, tried, last_resort=True)
        while chosen is not None:
            member, chosen = chosen, None
            tried.append(member)
            attempt = await stack.enter_async_context(AsyncExitStack())
            try:
                answer = await self._ask_member(attempt, member, exchange, until)
            except OriginFailed as error:
                await attempt.aclose()  # another request may try this origin while the next one answers
                self._log_failure(member, exchange, error.cause)
                if exchange.repeatable or error.unsent:
                    chosen = self._choose_next(exchange, tried, until, last_resort=True)
                if chosen is None:
                    raise
                continue
            if answer.status in UNUSABLE_STATUS and exchange.repeatable:
                chosen = self._choose_next(exchange, tried, until, last_resort=False)
            if chosen is None:
                return member, answer
            self._log_failure(member, exchange, f"status {answer.status}")
            await attempt.aclose()
        raise OriginFailed(502, "the service has no origin")

    async def _ask_member(
        self, stack: AsyncExitStack, member: GroupMember, exchange: "_Exchange", until: float
    ) -> OriginResponse:
        began = self._clock()
        tries = member.state.begin_request()
        stack.callback(member.state.end_request, tries)
        entering = stack.enter_async_context(
            member.client.request(
                exchange.method, exchange.target, exchange.headers, exchange.body, passing=exchange.passing
            )
        )
        try:
            if exchange.repeatable:
                async with asyncio.timeout(max(0.0, until - self._clock())):
                    answer = await entering
            else:  # the client's own speed sets the time until its body is sent
                answer = await entering
        except TimeoutError:
            failure = OriginFailed(504, "the origin did not respond in time", cause="the retries' deadline")
            failure.origin = member.name
            self._record_failure(member, failure)
            raise failure from None
        except OriginFailed as error:
            self._record_failure(member, error)
            raise
        now = self._clock()
        member.state.record_latency(now - began, now)
        if answer.status in UNUSABLE_STATUS:
            self._count_failure(member, f"status {answer.status}")
        elif member.state.record_success() and len(self.members) > 1:
            log.info("origin healthy: service %s, origin %s", self._title, member.name)
        return answer

    # --- which one

    def _choose_member(
        self, exchange: "_Exchange", tried: Sequence[GroupMember], *, last_resort: bool
    ) -> GroupMember | None:
        """Choose a primary, else a backup, that may be asked; with `last_resort` else any that was not tried."""
        if len(self.members) == 1:
            return None if tried else self.members[0]
        now = self._clock()
        for group in self._groups:
            usable = [
                member
                for member in group
                if member not in tried and member.state.may_ask(now, repeatable=exchange.repeatable)
            ]
            if usable:
                return self._selection.choose(usable, exchange.key)
        rest = [member for member in self.members if member not in tried]
        return self._selection.choose(rest, exchange.key) if rest and last_resort else None

    def _choose_next(
        self, exchange: "_Exchange", tried: Sequence[GroupMember], until: float, *, last_resort: bool
    ) -> GroupMember | None:
        if len(tried) >= self._retry.attempts or self._clock() >= until:
            return None
        return self._choose_member(exchange, tried, last_resort=last_resort)

    # --- what came of it

    def _record_failure(self, member: GroupMember, error: OriginFailed) -> None:
        if not error.busy:
            self._count_failure(member, error.cause)

    def _count_failure(self, member: GroupMember, cause: str) -> None:
        ejected = member.state.record_failure(cause, self._clock())
        if ejected and len(self.members) > 1:
            ejection = member.origin.ejection
            log.warning(
                "origin ejected for %g s: service %s, origin %s: %d failures in a row, the last: %s",
                ejection.seconds,
                self._title,
                member.name,
                ejection.failures,
                cause,
            )

    def _log_failure(self, member: GroupMember, exchange: "_Exchange", cause: str) -> None:
        log.warning(
            "origin failed: service %s, origin %s, %s %s for %s: %s",
            self._title,
            member.name,
            exchange.method,
            (member.origin.url + exchange.target.decode("latin-1"))[:URL_LIMIT],
            _client_of(exchange.headers) or "(unknown)",
            cause,
        )


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A request as the proxy gave it."""

    method: str
    target: bytes
    headers: Pairs
    body: AsyncIterator[bytes] | None
    key: str
    passing: str | None

    @property
    def repeatable(self) -> bool:
        return self.body is None and self.method in IDEMPOTENT_METHODS


def _url_of(headers: Pairs, target: bytes) -> str:
    host = next((value for name, value in headers if name == "host"), "")
    return f"{host} {target.decode('latin-1')}"


def _client_of(headers: Pairs) -> str:
    """The client's address: the proxy writes this field itself."""
    return next((value for name, value in headers if name == "x-forwarded-for"), "")
