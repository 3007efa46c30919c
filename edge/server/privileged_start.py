"""Everything that needs capabilities, before any thread or event loop: then they are dropped."""

import logging
import socket

from edge.config.settings import EdgeSettings
from edge.ingress.listening_sockets import ListeningSockets, bind_sockets
from node.state.identity import NodeIdentity
from runtime.capabilities import NET_ADMIN, NET_BIND_SERVICE, drop_capabilities
from smkex.server.handshake.path_manager.start import start_path_manager
from smkex.transport.mptcp.errors import MptcpError

log = logging.getLogger("edge.server.privileged_start")


def open_privileged(
    node: NodeIdentity, settings: EdgeSettings, clients: int
) -> tuple[ListeningSockets, list[socket.socket]]:
    """Bind the sockets, start the path manager with a channel for each of `clients`, and drop the capabilities.

    Without NET_ADMIN there are no channels: transport tcp only. Raises OSError, `CapabilitiesHeld`.
    """
    sockets = bind_sockets(node, settings)
    channels: list[socket.socket] = []
    try:
        _, channels = start_path_manager(node.own_addresses, clients=clients)
    except MptcpError as error:
        log.warning("transport tcp only, no mptcp: %s (%s)", error, error.hint)
    drop_privileges()
    return sockets, channels


def drop_privileges() -> None:
    """Drop the capabilities that only the start needs, in every thread. Raises `CapabilitiesHeld`, OSError."""
    drop_capabilities(NET_ADMIN, NET_BIND_SERVICE)
