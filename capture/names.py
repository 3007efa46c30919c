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
    expires: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class CapturedNames:
    """`patterns` are names, shell patterns of names, or addresses; `capture` makes an address captured for good."""

    def __init__(self, patterns: Sequence[str], resolve: Resolve, capture: Callable[[Address], None]) -> None:
        """Raises `InvalidHostName` for what is neither a name nor a pattern of names."""
        self._resolve, self._capture = resolve, capture
        self._known: dict[str, _Known] = {}
        self._host_at: dict[Address, str] = {}
        self._stand_ins = STAND_INS.hosts()
        self._patterns: list[str] = []
        self.exact: list[str] = []
        for pattern in patterns:
            self._add_pattern(pattern)

    def _add_pattern(self, pattern: str) -> None:
        if any(sign in pattern for sign in "*?["):
            HostName.parse(pattern.replace("*", "x").replace("?", "x"))
            last = pattern.removesuffix(".").rpartition(".")[2]
            if pattern != "*" and any(
                sign in last for sign in "*?["
            ):  # as 203.0.113.*, which would match no address
                raise InvalidHostName(f"not a pattern of names: {pattern}")
            self._patterns.append(pattern.lower().removesuffix("."))
            return
        name = HostName.parse(pattern)
        if name.address is not None:
            self._claim_address(name.address, name.text)
        else:
            self.exact.append(name.text)

    def includes(self, name: str) -> bool:
        """Return whether a canonical name goes by sessions."""
        return name in self.exact or any(fnmatchcase(name, pattern) for pattern in self._patterns)

    def host_at(self, address: Address) -> str:
        """Return the host whose session a connection to a captured address needs."""
        return self._host_at.get(address, str(address))

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
                known.addresses = self._claim_addresses(found, name)
                known.expires = time.monotonic() + LIFETIME
        return known.addresses

    async def resolve_exact(self) -> dict[str, Exception]:
        """Resolve the names that are no patterns, so that their addresses are captured; return what failed."""
        results = await asyncio.gather(
            *(self.addresses_of(name) for name in self.exact), return_exceptions=True
        )
        failed: dict[str, Exception] = {}
        for name, result in zip(self.exact, results, strict=True):
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
