"""Resolve the service name once per path, with a resolver reached over that path.

A forged address gives an attacker the session, so one forged resolver must not suffice: the answers must share an
address, else `AddressDisagrees`. A and AAAA are asked for at once, and answers are put in order as RFC 8305 says.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from itertools import chain, zip_longest
from pathlib import Path

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from smkex.core.errors import AddressDisagrees
from smkex.transport.routes.relay_paths import read_relay_paths
from smkex.transport.routes.routes import Address

TRIES = (1.0, 2.0)  # seconds that each question waits for its answer
RESOLUTION_DELAY = 0.05  # seconds the other family may take longer (RFC 8305 section 3)
RESOLV_CONF = Path("/etc/resolv.conf")
_KINDS = (dns.rdatatype.AAAA, dns.rdatatype.A)


async def resolve_on_both_paths(
    name: str, interfaces: tuple[str, str], resolvers: Mapping[str, str]
) -> tuple[Address, ...]:
    """Return the addresses of `name` on which both paths agree, in the order to try them.

    `resolvers` names the resolver of each interface; the default is the first that a relay path lets through, elsewhere
    the system's first. Raises
    `AddressDisagrees` when the answers share none, OSError when a path gives no answer.
    """
    asked = [resolvers.get(interface) or _default_resolver(interface) for interface in interfaces]
    answers = await asyncio.gather(
        *(
            _query_addresses(name, where, interface)
            for where, interface in zip(asked, interfaces, strict=True)
        )
    )
    common = set.intersection(*answers)
    if not common:
        found = "; ".join(
            f"{interface}: {', '.join(map(str, in_order(answer)))}"
            for interface, answer in zip(interfaces, answers, strict=True)
        )
        raise AddressDisagrees(f"the resolvers of the two paths share no address of {name} ({found})")
    return in_order(common)


def in_order(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Families in turn, IPv6 first (RFC 8305 section 4)."""
    every = list(addresses)
    v6, v4 = ([a for a in every if a.version == version] for version in (6, 4))
    turns = chain.from_iterable(zip_longest(sorted(v6, key=int), sorted(v4, key=int)))
    return tuple(address for address in turns if address is not None)


async def _query_addresses(name: str, where: str, interface: str) -> set[Address]:
    """Both families; once one has an address, the other has a moment more, and may fail."""
    questions = {asyncio.ensure_future(_query_records(name, kind, where, interface)) for kind in _KINDS}
    found: set[Address] = set()
    failure: BaseException | None = None
    waiting = questions
    try:
        while waiting:
            limit = RESOLUTION_DELAY if found else None
            done, waiting = await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for question in done:
                failure = question.exception() or failure
                found |= question.result() if question.exception() is None else set()
    finally:
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
    if not found:
        raise failure or OSError(f"resolver {where} over {interface} has no address of {name}")
    return found


async def _query_records(
    name: str, kind: dns.rdatatype.RdataType, where: str, interface: str
) -> set[Address]:
    """Raises OSError where no answer comes; an answer without addresses is an empty set."""
    try:
        answer = await _exchange_datagrams(dns.message.make_query(name, kind), where, interface)
    except TimeoutError:
        raise OSError(f"resolver {where} over {interface} does not answer") from None
    except dns.exception.DNSException as error:
        raise OSError(f"{name}: {error}") from None
    except OSError as error:
        raise OSError(f"resolver {where} over {interface}: {error.strerror or error}") from None
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise OSError(f"resolver {where} over {interface}: {dns.rcode.to_text(answer.rcode())}")
    return {
        ipaddress.ip_address(record.address)
        for records in answer.answer
        if records.rdtype == kind
        for record in records
    }


async def _exchange_datagrams(query: dns.message.Message, where: str, interface: str) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.setblocking(False)
        # connected: the kernel takes answers from the resolver alone
        await loop.sock_connect(sock, (where, 53))
        for wait in TRIES:
            await loop.sock_sendall(sock, query.to_wire())
            try:
                async with asyncio.timeout(wait):
                    return await _receive_answer(sock, query)
            except TimeoutError:
                continue
    raise TimeoutError


async def _receive_answer(sock: socket.socket, query: dns.message.Message) -> dns.message.Message:
    """Return the first answer to the query; ignore other datagrams."""
    while True:
        data = await asyncio.get_running_loop().sock_recv(sock, 65535)
        try:
            answer = dns.message.from_wire(data)
        except dns.exception.DNSException:
            continue
        if query.is_response(answer):
            return answer


def _default_resolver(interface: str) -> str:
    """Return the resolver of an interface for which none is given; raises OSError."""
    path = read_relay_paths().get(interface)
    if path is None:
        return _system_resolver()
    if not path.resolvers:
        raise OSError(
            f"relay {path.relay} lets no resolver through; give an address, or --resolver {interface}=ADDRESS of one"
            " that is among its prefixes"
        )
    return path.resolvers[0]


def _system_resolver() -> str:
    for line in RESOLV_CONF.read_text().splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            return words[1]
    raise OSError(f"{RESOLV_CONF} has no nameserver line; give --resolver INTERFACE=ADDRESS per path")
