"""From service addresses to an established session: which address, which locator, which kind of exchange."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smkex.client.edge_cache import EdgeCache
from smkex.core.errors import (
    DeadlineMissed,
    NoCommonMode,
    OnePathOnly,
    PeerAborted,
    Truncated,
    UnexpectedMessage,
)
from smkex.core.handshake.config import ClientConfig
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.wire.messages import Mode
from smkex.transport.driver import SessionDriver
from smkex.transport.exchange import exchange_keys, exchange_keys_at, exchange_keys_over_tls
from smkex.transport.mptcp.errors import MptcpWrongPath, PeerClosed, UnexpectedSubflow
from smkex.transport.routes.paths import PathUnusable, find_egresses
from smkex.transport.routes.target import Target
from smkex.transport.tcp.happy_eyeballs import connect_first_reachable
from smkex.transport.tcp.transport import TcpTransport

# errors of a stale locator (edge gone or renumbered); a failed proof is final and not among them
STALE_LOCATOR_ERRORS = (OnePathOnly, PeerAborted, Truncated, DeadlineMissed, UnexpectedMessage)
# errors of an address family that does not work on one of the paths
UNREACHABLE_ERRORS = (OnePathOnly, DeadlineMissed)


@dataclass(frozen=True, slots=True)
class ExchangePlan:
    """How to exchange keys; `host` and `authorities` are of mode mtls, `timeout` bounds all in seconds."""

    interfaces: tuple[str, str]
    config: ClientConfig
    scheduler: Scheduler
    cache: EdgeCache | None
    timeout: float
    host: str
    authorities: Path | None

    @property
    def mode(self) -> Mode:
        return self.config.modes[0]


async def establish_over_mptcp(targets: Sequence[Target], plan: ExchangePlan) -> tuple[SessionDriver, Target]:
    """Raises as `smkex.connect`."""
    if plan.mode is Mode.MTLS:
        raise NoCommonMode("mode mtls needs transport tcp, not mptcp")
    # IPv4 first: over IPv6 the edge must have address locators, which it says only then
    usable = list(targets) if len(targets) == 1 else _routable_targets(targets, plan)
    found = min(usable, key=lambda target: target.vip.version)
    config = replace(plan.config, locator=found.kind)
    from smkex.transport.mptcp.transport import MptcpTransport  # its libraries are slow to load

    for last in (False, True):
        try:
            transport = MptcpTransport(found, plan.interfaces, timeout=plan.timeout)
            return await exchange_keys(transport, config, plan.timeout), found
        except (MptcpWrongPath, UnexpectedSubflow, PeerClosed):
            # the kernel retransmits on the other path what one path lost, which either end may notice:
            # tolerate it once
            if last:
                raise
    raise AssertionError("unreachable")


async def establish_over_tcp(targets: Sequence[Target], plan: ExchangePlan) -> tuple[SessionDriver, Target]:
    """Raises as `smkex.connect`."""
    deadline = asyncio.get_running_loop().time() + plan.timeout
    left = list(targets) if len(targets) == 1 else _routable_targets(targets, plan)
    cached = await _establish_at_cached_edge(left, plan)
    if cached is not None:
        return cached
    while True:
        ways = await _connect_first_path(left, plan, deadline)
        left = [target for target in left if target != ways.target]
        time = deadline - asyncio.get_running_loop().time()
        try:
            session = await _run_exchange(ways, plan, time / 2 if left else time)
        except UNREACHABLE_ERRORS:
            # path 1 has its own network, where this family may not work
            if not left:
                raise
            continue
        if plan.cache is not None and plan.mode is not Mode.MTLS:
            plan.cache.put(ways.target, plan.interfaces, session.established.edge_id)
        return session, ways.target


def _routable_targets(targets: Sequence[Target], plan: ExchangePlan) -> list[Target]:
    """Return the targets that both paths have a route to. Raises `PathUnusable` if there are none."""
    found, failure = [], None
    for target in targets:
        try:
            find_egresses(plan.interfaces, target.vip)
            found.append(target)
        except PathUnusable as error:
            failure = error
    if not found and failure is not None:
        raise failure
    return found


async def _establish_at_cached_edge(
    targets: Sequence[Target], plan: ExchangePlan
) -> tuple[SessionDriver, Target] | None:
    """Open both paths at the cached edge's locator; None if no edge is cached, or it refuses."""
    if plan.cache is None or plan.mode is Mode.MTLS:
        return None
    for target in targets:
        remembered = plan.cache.get(target, plan.interfaces)
        if remembered is None:
            continue
        located, edge_id = remembered
        with contextlib.suppress(OSError, *STALE_LOCATOR_ERRORS):
            config = replace(plan.config, locator=located.kind)
            session = await exchange_keys_at(
                _make_transport(located, plan), config, plan.timeout / 2, edge_id
            )
            plan.cache.put(located, plan.interfaces, edge_id)
            return session, located
        plan.cache.drop(target, plan.interfaces)
    return None


async def _connect_first_path(targets: Sequence[Target], plan: ExchangePlan, deadline: float) -> TcpTransport:
    try:
        async with asyncio.timeout_at(deadline):
            return await connect_first_reachable([_make_transport(target, plan) for target in targets])
    except TimeoutError:
        where = ", ".join(map(str, targets))
        raise DeadlineMissed(f"no answer from {where} by {plan.interfaces[0]} within the timeout") from None


async def _run_exchange(ways: TcpTransport, plan: ExchangePlan, timeout: float) -> SessionDriver:
    config = replace(plan.config, locator=ways.target.kind)
    if plan.mode is not Mode.MTLS:
        return await exchange_keys(ways, config, timeout)
    # OpenSSL is slow to load, and only this mode needs it
    from smkex.core.handshake.tls import client_context

    context = client_context(plan.authorities, config.groups)
    return await exchange_keys_over_tls(ways, config, timeout, context, plan.host)


def _make_transport(target: Target, plan: ExchangePlan) -> TcpTransport:
    return TcpTransport(
        target,
        plan.interfaces,
        allow_shared_path=plan.config.allow_shared_path,
        scheduler=plan.scheduler,
    )
