"""Sockets to a resolver that leave by one interface, from an address of that interface."""

import asyncio
import socket

from smkex.transport.resolution.resolver_address import ResolverAddress
from smkex.transport.routes.paths import find_egress


async def open_resolver_socket(
    where: ResolverAddress, interface: str, kind: socket.SocketKind
) -> socket.socket:
    """Connect to `where` by `interface` and no other; the kernel chooses a random port.

    Connected, also for datagrams: the kernel takes answers from the resolver alone. Raises `PathUnusable`, OSError.
    """
    address = where.address
    egress = find_egress(interface, address)
    scope = (0, egress.index) if address.is_link_local and address.version == 6 else ()
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, kind)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.bind((egress.source, 0, *scope))
        await asyncio.get_running_loop().sock_connect(sock, (str(address), where.port, *scope))
    except BaseException:
        sock.close()
        raise
    return sock
