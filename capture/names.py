"""Which hosts go by sessions, and at which addresses programs find them.

Names are resolved once per path, by `smkex`. A program gets the service address itself, so that it shows what it
expects. Where two names share a service address, the second gets an address that is routed nowhere (RFC 2544): the
session must know which of them was meant.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from smkex.core.errors import SmkexError
from smkex.transport.routes.host_name import HostName, InvalidHostName

Address = IPv4Address | IPv6Address
Resolve = Callable[[str], Awaitable[tuple[Address, ...]]]

LIFETIME = 60.0  # seconds that an answer is given again
NAME_LIMIT = 4096
STAND_INS = IPv4Network("198.18.0.0/15")  # for benchmarks between two networks


@dataclass(slots=True)
class _Known:
    addresses: tuple[Address, ...] = ()
    resolved: tuple[Address, ...] = ()
    expires: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class _Hosts:
    """What was given, by kind."""

    exact: tuple[str, ...]
    patterns: tuple[str, ...]
    addresses: tuple[Address, ...]

    @property
    def address_texts(self) -> tuple[str, ...]:
        return tuple(map(str, self.addresses))

    def matches(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)


def _parse_patterns(given: Sequence[str]) -> _Hosts:
    """Raises `InvalidHostName`."""
    exact, patterns, addresses = [], [], []
    for pattern in given:
        if any(sign in pattern for sign in "*?["):
            HostName.parse(pattern.replace("*", "x").replace("?", "x"))
            last = pattern.removesuffix(".").rpartition(".")[2]
            # not as 203.0.113.*, which would match no address
            if pattern != "*" and any(sign in last for sign in "*?["):
                raise InvalidHostName(f"not a pattern of names: {pattern}")
            patterns.append(pattern.lower().removesuffix("."))
            continue
        name = HostName.parse(pattern)
        if name.address is not None:
            addresses.append(name.address)
        else:
            exact.append(name.text)
    return _Hosts(tuple(exact), tuple(patterns), tuple(addresses))


class CapturedNames:
    """`patterns` are names, shell patterns of names, or addresses; `capture` makes an address captured for good."""

    def __init__(self, patterns: Sequence[str], resolve: Resolve, capture: Callable[[Address], None]) -> None:
        """Raises `InvalidHostName` for what is neither a name nor a pattern of names."""
        self._resolve, self._capture = resolve, capture
        self._known: dict[str, _Known] = {}
        self._host_at: dict[Address, str] = {}
        self._stand_ins = STAND_INS.hosts()
        self._hosts = _parse_patterns(patterns)
        for address in self._hosts.addresses:
            self._claim_address(address, str(address))

    @property
    def exact(self) -> tuple[str, ...]:
        """The names that are no patterns."""
        return self._hosts.exact

    def replace_patterns(self, patterns: Sequence[str]) -> None:
        """Put other hosts in their place; what is no longer one is forgotten. Raises as the constructor, unchanged."""
        self._hosts = _parse_patterns(patterns)
        self._known = {name: known for name, known in self._known.items() if self.includes(name)}
        self._host_at = {at: host for at, host in self._host_at.items() if self.includes(host)}
        for address in self._hosts.addresses:
            self._claim_address(address, str(address))

    def includes(self, host: str) -> bool:
        """Return whether a canonical name, or an address, goes by sessions."""
        return host in self._hosts.exact or self._hosts.matches(host) or host in self._hosts.address_texts

    def host_at(self, address: Address) -> str | None:
        """Return the host whose session a connection to this address needs; None where no host claims it."""
        return self._host_at.get(address)

    def claims(self, address: Address) -> bool:
        """Return whether the address is one of a host, of its own or shared with another."""
        return address in self._host_at or any(address in known.resolved for known in self._known.values())

    async def addresses_of(self, name: str) -> tuple[Address, ...]:
        """Return the addresses to answer with, all of them captured. Raises as `resolve`, and OSError at the limit."""
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= NAME_LIMIT:
                raise OSError("too many names were asked for")
            known = self._known[name] = _Known()
        async with known.asking:
            if known.expires < time.monotonic():
                found = await self._resolve(name)
                known.resolved = found
                known.addresses = self._claim_addresses(found, name)
                known.expires = time.monotonic() + LIFETIME
        return known.addresses

    async def resolve_exact(self) -> dict[str, Exception]:
        """Resolve the names that are no patterns, so that their addresses are captured; return what failed."""
        exact = self.exact
        results = await asyncio.gather(*(self.addresses_of(name) for name in exact), return_exceptions=True)
        failed: dict[str, Exception] = {}
        for name, result in zip(exact, results, strict=True):
            if isinstance(result, SmkexError | OSError):
                failed[name] = result
            elif isinstance(result, BaseException):
                raise result
        return failed

    def _claim_addresses(self, found: Sequence[Address], name: str) -> tuple[Address, ...]:
        for address in found:
            self._capture(address)  # also one of another name: it is not to be reached any other way
        own = tuple(one for one in found if self._host_at.get(one, name) == name)
        if not own:
            own = (self._stand_in_of(name),)
        for address in own:
            self._claim_address(address, name)
        return own

    def _claim_address(self, address: Address, name: str) -> None:
        self._capture(address)
        self._host_at[address] = name

    def _stand_in_of(self, name: str) -> Address:
        """Return the name's address without a route; a name keeps it."""
        given = next((at for at, host in self._host_at.items() if host == name and at in STAND_INS), None)
        return given or next(self._stand_ins)
