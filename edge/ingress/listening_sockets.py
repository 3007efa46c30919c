"""Listening sockets of the edge, bound once and inherited by every worker."""

import logging
import socket
from dataclasses import dataclass

from edge.config.settings import EdgeSettings
from edge.ingress.https import listen_https
from node.state.identity import NodeIdentity
from smkex.core.wire.messages import LocatorKind
from smkex.transport.mptcp.listen import mptcp_listener, tcp_listener

log = logging.getLogger("edge.ingress.listening_sockets")

BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """`sessions`: service port and locator by IPv4, then by IPv6; `https` the same where it is served."""

    sessions: tuple[socket.socket, ...]
    https: tuple[socket.socket, ...] = ()


def bind_sockets(node: NodeIdentity, settings: EdgeSettings) -> ListeningSockets:
    """Bind all sockets. Raises OSError as `listen_on_vip`."""
    sessions = listen_on_vip(node)
    if settings.https_port is None:
        return ListeningSockets(tuple(sessions))
    https = []
    for address in node.vip.addresses:
        https.append(listen_https(address, settings.https_port))
        log.info("listening on %s port %d for HTTPS", address, settings.https_port)
    return ListeningSockets(tuple(sessions), tuple(https))


def listen_on_vip(node: NodeIdentity) -> list[socket.socket]:
    """Listen at the service port and the locator, by IPv4 and then by IPv6; with MPTCP where that has locators.

    Raises OSError when a port is taken, or the VIP or an address locator is not on this host.
    """
    vip = node.vip
    made = []
    for address in vip.addresses:
        # an ADD_ADDR has no room for an IPv6 address and a port
        announced = address == vip.v4 or vip.locator_kind(6) is LocatorKind.ADDRESS
        listen = mptcp_listener if announced else tcp_listener
        for host, port in ((address, vip.service_port), node.locator_of(address)):
            made.append(listen(host, port, backlog=BACKLOG))
            log.info("listening on %s port %d", host, port)
    return made
