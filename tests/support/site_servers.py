"""A server at each edge of a site, which says on every connection at which edge it is."""

import contextlib
import socket
import threading
from collections.abc import Iterable

from forwarder_network import ForwarderNetwork

WAITING = 64  # connections that wait to be accepted


class SiteServers:
    """Listeners at the service port of `edges`; each answers every byte with its edge's number."""

    def __init__(self, network: ForwarderNetwork, edges: Iterable[str], vip: str = "203.0.113.1") -> None:
        self._listeners = [self._listen(network, edge, vip) for edge in edges]

    def _listen(self, network: ForwarderNetwork, edge: str, vip: str) -> socket.socket:
        listener = network.open_socket(edge)
        listener.settimeout(None)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((vip, 443))
        listener.listen(WAITING)
        threading.Thread(target=self._serve, args=(listener, edge[-1].encode()), daemon=True).start()
        return listener

    def _serve(self, listener: socket.socket, name: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:
                served, _ = listener.accept()
                threading.Thread(target=self._answer, args=(served, name), daemon=True).start()

    def _answer(self, served: socket.socket, name: bytes) -> None:
        with served, contextlib.suppress(OSError):
            while served.recv(1):
                served.sendall(name)

    def close(self) -> None:
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
