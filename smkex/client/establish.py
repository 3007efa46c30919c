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
from smkex.transport.exchange import exchange_keys, exchange_keys_at, exchange_keys_over_tls
from smkex.transport.mptcp.errors import PeerClosed, UnexpectedSubflow, WrongPath
from smkex.transport.routes.paths import PathUnusable, find_ways
from smkex.transport.routes.target import Target
from smkex.transport.session import SessionTransport
from smkex.transport.tcp.happy_eyeballs import first_reached
from smkex.transport.tcp.transport import TcpTransport

# what an edge that is gone, or has another id now, looks like; a failed proof is none of these and is final
REFUSALS = (OnePathOnly, PeerAborted, Truncated, DeadlineMissed, UnexpectedMessage)
# what a family that does not work on one of the paths looks like
OUT_OF_REACH = (OnePathOnly, DeadlineMissed)


@dataclass(frozen=True, slots=True)
class Plan:
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


async def establish_over_mptcp(targets: Sequence[Target], plan: Plan) -> tuple[SessionTransport, Target]:
    """Raises as `smkex.connect`."""
    if plan.mode is Mode.MTLS:
        raise NoCommonMode("mode mtls needs transport tcp, not mptcp")
    # an announced id with a port does not fit into IPv6's TCP options beside timestamps
    found = next((target for target in targets if target.vip.version == 4), None)
    if found is None:
        raise PathUnusable("transport mptcp needs an IPv4 service address")
    from smkex.transport.mptcp.transport import MptcpTransport  # its libraries are slow to load

    for last in (False, True):
        try:
            transport = MptcpTransport(found, plan.interfaces, timeout=plan.timeout)
            return await exchange_keys(transport, plan.config, plan.timeout), found
        except (WrongPath, UnexpectedSubflow, PeerClosed):
            # the kernel sends again on the other path what one path lost, which either end may notice: once is
            # bad luck
            if last:
                raise
    raise AssertionError("unreachable")


async def establish_over_tcp(targets: Sequence[Target], plan: Plan) -> tuple[SessionTransport, Target]:
    """Raises as `smkex.connect`."""
    deadline = asyncio.get_running_loop().time() + plan.timeout
    left = list(targets) if len(targets) == 1 else _usable(targets, plan)
    cached = await _at_remembered_edge(left, plan)
    if cached is not None:
        return cached
    while True:
        ways = await _reach(left, plan, deadline)
        left = [target for target in left if target != ways.target]
        time = deadline - asyncio.get_running_loop().time()
        try:
            session = await _exchange(ways, plan, time / 2 if left else time)
        except OUT_OF_REACH:
            # path 1 has its own network, where this family may not work
            if not left:
                raise
            continue
        if plan.cache is not None and plan.mode is not Mode.MTLS:
            plan.cache.put(ways.target, plan.interfaces, session.established.edge_id)
        return session, ways.target


def _usable(targets: Sequence[Target], plan: Plan) -> list[Target]:
    """Those that both paths have a route to. Raises `PathUnusable` where there is none."""
    found, failure = [], None
    for target in targets:
        try:
            find_ways(plan.interfaces, target.vip)
            found.append(target)
        except PathUnusable as error:
            failure = error
    if not found and failure is not None:
        raise failure
    return found


async def _at_remembered_edge(
    targets: Sequence[Target], plan: Plan
) -> tuple[SessionTransport, Target] | None:
    """Both paths at the locator at once; None where no edge is remembered, or it refuses."""
    if plan.cache is None or plan.mode is Mode.MTLS:
        return None
    for target in targets:
        remembered = plan.cache.get(target, plan.interfaces)
        if remembered is None:
            continue
        located, edge_id = remembered
        with contextlib.suppress(OSError, *REFUSALS):
            config = replace(plan.config, locator=located.kind)
            session = await exchange_keys_at(_ways(located, plan), config, plan.timeout / 2, edge_id)
            plan.cache.put(located, plan.interfaces, edge_id)
            return session, located
        plan.cache.drop(target, plan.interfaces)
    return None


async def _reach(targets: Sequence[Target], plan: Plan, deadline: float) -> TcpTransport:
    try:
        async with asyncio.timeout_at(deadline):
            return await first_reached([_ways(target, plan) for target in targets])
    except TimeoutError:
        where = ", ".join(map(str, targets))
        raise DeadlineMissed(f"{where} did not answer on {plan.interfaces[0]} in time") from None


async def _exchange(ways: TcpTransport, plan: Plan, timeout: float) -> SessionTransport:
    config = replace(plan.config, locator=ways.target.kind)
    if plan.mode is not Mode.MTLS:
        return await exchange_keys(ways, config, timeout)
    # OpenSSL is slow to load, and only this mode needs it
    from smkex.core.handshake.tls import client_context

    context = client_context(plan.authorities)
    return await exchange_keys_over_tls(ways, config, timeout, context, plan.host)


def _ways(target: Target, plan: Plan) -> TcpTransport:
    return TcpTransport(
        target,
        plan.interfaces,
        allow_shared_path=plan.config.allow_shared_path,
        scheduler=plan.scheduler,
    )
