"""Find a service by its name: once per path, by a resolver reached over that path, and then by what both agree on.

A forged address gives an attacker the session, so one forged resolver must not suffice: the answers must share an
address, else `AddressDisagrees`. Service records count where both paths have the same; what fleet keys one path alone
states can only make the client stricter.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any, TypeVar

import dns.name
import dns.rdatatype

from smkex.core.errors import AddressDisagrees
from smkex.transport.resolution.path_resolver import RESOLUTION_DELAY, PathResolver, encode_name
from smkex.transport.resolution.queries import ALIAS_LIMIT
from smkex.transport.resolution.resolver_address import ResolverAddress
from smkex.transport.resolution.service_record import (
    InvalidRecords,
    SvcbRecord,
    alias_target,
    canonical_host,
    read_service_records,
    service_owner,
)
from smkex.transport.resolution.silent_resolvers import SilentResolvers
from smkex.transport.resolution.system_resolvers import find_system_resolvers
from smkex.transport.routes.routes import Address

# seconds that service records by plain DNS may come later than the addresses of both paths: as the other family of
# addresses (RFC 8305 section 3; draft-ietf-happy-happyeyeballs-v3 section 4), or as long as these took
RECORDS_DELAY = RESOLUTION_DELAY
RECORDS_DELAY_LIMIT = 0.5
NO_SERVICE = "."  # the target of an alias that says so
T = TypeVar("T")
_silent_resolvers = SilentResolvers()


@dataclass(frozen=True, slots=True)
class FoundService:
    """Addresses in the order to try them, and the service record that both paths have.

    `fleet_keys` are those that a first contact expects, if any; `notes` are for the report.
    """

    addresses: tuple[Address, ...]
    record: SvcbRecord | None = None
    fleet_keys: frozenset[str] = field(default_factory=frozenset)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _PathAnswer:
    """`missing` says why there are no records where the resolver has not said that there are none."""

    addresses: set[Address] | Exception
    records: tuple[SvcbRecord, ...]
    missing: str = ""


async def find_service(
    host: str, port: int, interfaces: tuple[str, str], resolvers: Mapping[str, str]
) -> FoundService:
    """Resolve a canonical name. `resolvers` are by interface; the system's own are the default.

    Raises `AddressDisagrees` where the paths contradict each other, `InvalidResolver`, `PathUnusable`, and OSError
    where a path gives no answer.
    """
    servers = [await select_resolvers(interface, resolvers) for interface in interfaces]
    async with (
        PathResolver(servers[0], interfaces[0]) as first,
        PathResolver(servers[1], interfaces[1]) as second,
    ):
        return await find_service_by((first, second), host, port)


async def find_service_by(paths: tuple[PathResolver, PathResolver], host: str, port: int) -> FoundService:
    """`find_service` by the resolvers of both paths."""
    owner = service_owner(host, port)
    answers = await _look_up_both(paths, host, owner)
    record, notes = _agree_on_record(host, paths, answers)
    expected = _agree_on_fleet_keys(host, answers)
    if record is not None and record.target == NO_SERVICE:
        raise OSError(f"{owner} states that {host} has no such service")
    found = [answer.addresses for answer in answers]
    if record is not None and record.target != host:
        host = record.target
        found = list(await _gather_both(path.query_addresses(host) for path in paths))
    return FoundService(_agree_on_addresses(host, paths, found), record, expected, notes)


async def select_resolvers(interface: str, resolvers: Mapping[str, str]) -> list[ResolverAddress]:
    """Return the given resolver of an interface, else the system's. Raises OSError, `InvalidResolver`."""
    given = resolvers.get(interface)
    return [ResolverAddress.parse(given)] if given else await find_system_resolvers(interface)


def in_order(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Families in turn, IPv6 first (RFC 8305 section 4)."""
    every = list(addresses)
    v6, v4 = ([a for a in every if a.version == version] for version in (6, 4))
    turns = chain.from_iterable(zip_longest(sorted(v6, key=int), sorted(v4, key=int)))
    return tuple(address for address in turns if address is not None)


async def _gather_both(asked: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Await all; the first failure ends the others, and is raised."""
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _cancel_all(tasks)


async def _cancel_all(tasks: Sequence["asyncio.Future[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Questions:
    """What a path's resolver is asked at once."""

    path: PathResolver
    addresses: "asyncio.Task[set[Address]]"
    records: "asyncio.Task[tuple[SvcbRecord, ...]]"

    @classmethod
    def ask(cls, path: PathResolver, host: str, owner: str) -> "_Questions":
        return cls(
            path,
            asyncio.ensure_future(path.query_addresses(host)),
            asyncio.ensure_future(_query_service(path, owner)),
        )

    @property
    def needs_records(self) -> bool:
        """Without addresses, the records may say where there are some (RFC 9460 section 3)."""
        return self.path.protected or self.addresses.exception() is not None

    def read_answer(self) -> _PathAnswer:
        """Raises OSError, `PathUnusable`."""
        error = self.addresses.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        found = error if error is not None else self.addresses.result()
        if not self.records.done():
            return _PathAnswer(found, (), "no answer in time")
        try:
            return _PathAnswer(found, self.records.result())
        except InvalidRecords as invalid:
            return _PathAnswer(found, (), str(invalid))
        except OSError as failure:
            if self.path.protected:
                raise  # RFC 9460 section 3.1: no answer must not look like none there
            return _PathAnswer(found, (), str(failure))


async def _look_up_both(paths: Sequence[PathResolver], host: str, owner: str) -> list[_PathAnswer]:
    """Ask for addresses and service records at once. Raises OSError, `PathUnusable`."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    questions = [_Questions.ask(path, host, owner) for path in paths]
    try:
        await asyncio.wait([one.addresses for one in questions])
        delay = min(max(RECORDS_DELAY, loop.time() - started), RECORDS_DELAY_LIMIT)
        needed = [one.records for one in questions if one.needs_records]
        if needed:
            await asyncio.wait(needed)
        others = [one for one in questions if not one.needs_records]
        awaited = [
            one.records for one in others if not _silent_resolvers.is_silent(one.path.way, loop.time())
        ]
        if awaited:
            await asyncio.wait(awaited, timeout=delay)
        for one in others:
            if one.records.done():
                _silent_resolvers.note_answer(one.path.way)
            else:
                _silent_resolvers.note_silence(one.path.way, loop.time())
        return [one.read_answer() for one in questions]
    finally:
        await _cancel_all([task for one in questions for task in (one.addresses, one.records)])


async def _query_service(path: PathResolver, owner: str) -> tuple[SvcbRecord, ...]:
    """Return the service records at the end of all aliases. Raises OSError, `InvalidRecords`."""
    start = name = encode_name(owner)
    for _ in range(ALIAS_LIMIT + 1):
        found_at, records = await path.query_records(name, dns.rdatatype.SVCB)
        target = alias_target(records)
        if target is None:
            found = read_service_records(found_at, records)
            aliased = name != start and not found
            return (SvcbRecord(0, canonical_host(name)),) if aliased else found
        if target == dns.name.root:
            return (SvcbRecord(0, NO_SERVICE),)
        name = target
    raise InvalidRecords(f"more than {ALIAS_LIMIT} aliases, or a loop of them")


def _agree_on_record(
    host: str, paths: Sequence[PathResolver], answers: Sequence[_PathAnswer]
) -> tuple[SvcbRecord | None, tuple[str, ...]]:
    """Return the best record that both paths have. Raises `AddressDisagrees` where they have only different ones."""
    first, second = answers
    common = [record for record in first.records if record in second.records]
    if common:
        return common[0], ()
    if first.records and second.records:
        raise AddressDisagrees(f"the resolvers of the two paths share no service record of {host}")
    if not first.records and not second.records:
        return None, ()
    without = 0 if second.records else 1
    reason = answers[without].missing or "there are none"
    return None, (
        f"service records not used: by {paths[1 - without].interface} {host} has some, by"
        f" {paths[without].interface} {reason}",
    )


def _agree_on_fleet_keys(host: str, answers: Sequence[_PathAnswer]) -> frozenset[str]:
    """Return the fleet keys that every path allows which states any. Raises `AddressDisagrees`."""
    stated = [frozenset().union(*(record.fleet_keys for record in answer.records)) for answer in answers]
    allowed = [keys for keys in stated if keys]
    common = frozenset.intersection(*allowed) if allowed else frozenset()
    if allowed and not common:
        raise AddressDisagrees(f"the resolvers of the two paths state different fleet keys of {host}")
    return common


def _agree_on_addresses(
    host: str, paths: Sequence[PathResolver], answers: Sequence[set[Address] | Exception]
) -> tuple[Address, ...]:
    sets = []
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
        sets.append(answer)
    common = set.intersection(*sets)
    if not common:
        found = "; ".join(
            f"{path.interface}: {', '.join(map(str, in_order(answer)))}"
            for path, answer in zip(paths, sets, strict=True)
        )
        raise AddressDisagrees(f"the resolvers of the two paths share no address of {host} ({found})")
    return in_order(common)
