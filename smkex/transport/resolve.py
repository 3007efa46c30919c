"""Resolve the service name once per path, with a resolver reached over that path.

Whoever forges the address owns both ends, so one forged resolver must not be enough: the answers must share an
address, else `AddressDisagrees`.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from smkex.core.errors import AddressDisagrees
from smkex.transport.routes import Address

TIMEOUT = 3.0  # seconds for one answer
RESOLV_CONF = Path("/etc/resolv.conf")


async def resolve(name: str, interfaces: tuple[str, str], resolvers: Mapping[str, str]) -> Address:
    """Return the IPv4 address of `name` on which both paths agree.

    `resolvers` says whom to ask on each interface; where it does not, the system's first resolver is asked. Raises
    `AddressDisagrees` when the answers share none, OSError when a path gives no answer.
    """
    asked = [resolvers.get(interface) or _system_resolver() for interface in interfaces]
    answers = await asyncio.gather(
        *(
            asyncio.to_thread(_ask, name, where, interface)
            for where, interface in zip(asked, interfaces, strict=True)
        )
    )
    common = sorted(set.intersection(*answers))
    if not common:
        told = "; ".join(
            f"{interface}: {', '.join(map(str, sorted(answer)))}"
            for interface, answer in zip(interfaces, answers, strict=True)
        )
        raise AddressDisagrees(f"the paths do not agree where {name} is ({told})")
    return common[0]


def _ask(name: str, where: str, interface: str) -> set[Address]:
    query = dns.message.make_query(name, dns.rdatatype.A)
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.setblocking(False)
        try:
            answer = dns.query.udp(query, where, timeout=TIMEOUT, sock=sock)
        except dns.exception.DNSException as error:
            raise OSError(f"resolver {where} over {interface}: {error}") from None
    found: set[Address] = {
        ipaddress.ip_address(record.address)
        for records in answer.answer
        if records.rdtype == dns.rdatatype.A
        for record in records
    }
    if answer.rcode() != dns.rcode.NOERROR or not found:
        raise OSError(f"resolver {where} over {interface} knows no address of {name}")
    return found


def _system_resolver() -> str:
    for line in RESOLV_CONF.read_text().splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            return words[1]
    raise OSError(f"{RESOLV_CONF} names no resolver: give one per path")
