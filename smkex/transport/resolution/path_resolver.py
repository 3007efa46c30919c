"""The resolver of one path during one look-up: questions of any kind, by whatever protocol it speaks."""

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from smkex.transport.resolution.datagrams import PlainExchange
from smkex.transport.resolution.https_exchange import HttpsExchange
from smkex.transport.resolution.kept_exchanges import KeptExchange, MakeExchange, running_keeper
from smkex.transport.resolution.queries import select_records
from smkex.transport.resolution.resolver_address import ResolverAddress, ResolverKind
from smkex.transport.resolution.tls_stream import TlsExchange
from smkex.transport.routes.paths import find_egress
from smkex.transport.routes.routes import Address

RESOLUTION_DELAY = 0.05  # seconds the other family may take longer (RFC 8305 section 3)
SERVERS_LIMIT = 3  # as resolv.conf(5) has them
_KEPT: dict[ResolverKind, MakeExchange] = {ResolverKind.TLS: TlsExchange, ResolverKind.HTTPS: HttpsExchange}
_FAMILIES = (dns.rdatatype.AAAA, dns.rdatatype.A)


class PathResolver:
    """Asks the `servers` of a path in turn, the next where one gives no answer; all of them by `interface` alone."""

    def __init__(self, servers: Sequence[ResolverAddress], interface: str) -> None:
        self.interface = interface
        self.servers = tuple(servers[:SERVERS_LIMIT])
        self._kept: dict[ResolverAddress, KeptExchange] = {}

    async def __aenter__(self) -> "PathResolver":
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._kept:
            await running_keeper().release(self._kept.popitem()[1])

    @property
    def way(self) -> tuple[tuple[ResolverAddress, ...], str, str]:
        """Servers, interface and its address, which another network changes. Raises `PathUnusable`."""
        return self.servers, self.interface, find_egress(self.interface, self.servers[0].address).source

    def _find_exchange(self, where: ResolverAddress) -> PlainExchange | KeptExchange:
        """Raises `PathUnusable`."""
        make = _KEPT.get(where.kind)
        if make is None:
            return PlainExchange(where, self.interface)
        if where not in self._kept:
            self._kept[where] = running_keeper().acquire(where, self.interface, make)
        return self._kept[where]

    @property
    def protected(self) -> bool:
        """Whether no attacker on the path can make, change or withhold one answer alone."""
        return all(where.protected for where in self.servers)

    async def query_records(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> tuple[dns.name.Name, list[Any]]:
        """Return the name behind its aliases (CNAME), and its records, none where there are none.

        Raises OSError where no server answers, `PathUnusable` where the interface leads to none.
        """
        failure: OSError | None = None
        for where in self.servers:
            try:
                answer = await self._find_exchange(where).ask(name, kind)
                return self._read_answer(answer, name, kind)
            except TimeoutError:
                failure = OSError(f"resolver {where} over {self.interface} does not answer")
            except OSError as error:
                failure = OSError(f"resolver {where} over {self.interface}: {error.strerror or error}")
        raise failure or OSError(f"no resolver over {self.interface}")

    def _read_answer(
        self, answer: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> tuple[dns.name.Name, list[Any]]:
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise OSError(dns.rcode.to_text(answer.rcode()))
        return select_records(answer, name, kind)

    async def query_addresses(self, host: str) -> set[Address]:
        """Ask for both families; once one has an address, the other has a moment more, and may fail.

        Raises OSError, `PathUnusable`.
        """
        name = encode_name(host)
        questions = {asyncio.ensure_future(self.query_records(name, kind)) for kind in _FAMILIES}
        found: set[Address] = set()
        failure: BaseException | None = None
        waiting = questions
        try:
            while waiting:
                limit = RESOLUTION_DELAY if found else None
                done, waiting = await asyncio.wait(
                    waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                for question in done:
                    failure = question.exception() or failure
                    if question.exception() is None:
                        found |= {ipaddress.ip_address(record.address) for record in question.result()[1]}
        finally:
            for question in questions:
                question.cancel()
            await asyncio.gather(*questions, return_exceptions=True)
        if not found:
            servers = ", ".join(map(str, self.servers))
            raise failure or OSError(f"resolver {servers} over {self.interface} has no address of {host}")
        return found


def encode_name(host: str) -> dns.name.Name:
    """Raises OSError for a name that DNS cannot hold."""
    try:
        return dns.name.from_text(host)
    except dns.exception.DNSException as error:
        raise OSError(f"{host}: {error}") from None
