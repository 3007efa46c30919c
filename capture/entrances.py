"""The ports on loopback that captured connections and questions are led to, by IPv4 and IPv6."""

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
TRIES = 64  # ports that are free in one family or protocol and not in another
BACKLOG = 512
UNPRIVILEGED_START = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


class Entrances:
    """Bound sockets: `streams` for connections, `datagrams` and `questions` (TCP) for the resolver."""

    def __init__(self, ports: Sequence[int] = (0,) * TRIES) -> None:
        """`ports` are tried in turn, 0 is any. Raises OSError where none is free."""
        self._ports = iter(ports)
        families = [(family, host) for family, host in HOSTS if _has_loopback(family, host)]
        self._stack = contextlib.ExitStack()
        try:
            (self.streams,) = self._bind_same_port(families, (socket.SOCK_STREAM,))
            self.datagrams, self.questions = self._bind_same_port(
                families, (socket.SOCK_DGRAM, socket.SOCK_STREAM)
            )
        except BaseException:
            self._stack.close()
            raise

    @property
    def streams_port(self) -> int:
        port: int = self.streams[0].getsockname()[1]
        return port

    @property
    def resolver_port(self) -> int:
        port: int = self.datagrams[0].getsockname()[1]
        return port

    @property
    def listening(self) -> list[socket.socket]:
        """Every socket, for the guard."""
        return [*self.streams, *self.datagrams, *self.questions]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _bind_same_port(
        self, families: list[tuple[socket.AddressFamily, str]], kinds: tuple[socket.SocketKind, ...]
    ) -> list[list[socket.socket]]:
        """Bind one free port in all families and kinds; return the sockets of each kind. Raises OSError."""
        for wanted in self._ports:
            with contextlib.ExitStack() as made:
                sockets: list[list[socket.socket]] = []
                port = wanted
                try:
                    for kind in kinds:
                        sockets.append([])
                        for family, host in families:
                            sock = made.enter_context(socket.socket(family, kind))
                            sock.bind((host, port))
                            port = sock.getsockname()[1]
                            sockets[-1].append(sock)
                    for one in (one for same in sockets for one in same if one.type == socket.SOCK_STREAM):
                        one.listen(BACKLOG)
                except OSError:
                    continue
                self._stack.enter_context(made.pop_all())
                return sockets
        raise OSError("no port is free on loopback in IPv4 and IPv6")


def privileged_ports() -> range:
    """Return ports that no process without CAP_NET_BIND_SERVICE can take when this one has ended. Raises OSError."""
    first = int(UNPRIVILEGED_START.read_text())
    ports = range(min(first, 1024) - 1, 511, -1)
    if not ports:
        raise OSError(
            f"{UNPRIVILEGED_START} is {first}: every user could take the ports of a service that has ended"
        )
    return ports


def _has_loopback(family: socket.AddressFamily, host: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.bind((host, 0))
    except OSError:
        return False
    return True
