"""Which way a host goes: by sessions, past them, or nowhere. Decided before anything is opened."""

from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from smkex.core.wire.locator import SERVICE_PORT


class Way(Enum):
    SESSION = "session"
    DIRECT = "direct"


class Refused(Exception):
    """The proxy's rules forbid this; `hint` says what would be allowed."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Rules:
    """`hosts` are shell patterns of names or addresses that go by sessions; others are refused, or go direct.

    A host that goes by sessions never goes any other way, whatever happens.
    """

    hosts: tuple[str, ...] = ("*",)
    others_direct: bool = False
    service_port: int = SERVICE_PORT

    def way(self, host: str) -> Way:
        """Raises `Refused`."""
        name = host.lower().rstrip(".")
        if any(fnmatchcase(name, pattern.lower()) for pattern in self.hosts):
            return Way.SESSION
        if self.others_direct:
            return Way.DIRECT
        raise Refused(
            f"{host} is not of the CDN ({', '.join(self.hosts)})",
            "start the proxy with --host for it, or with --others direct",
        )

    def tunnel(self, host: str, port: int) -> tuple[Way, int]:
        """The way of a tunnel, and the port to dial. Raises `Refused`."""
        way = self.way(host)
        if way is Way.SESSION and port == 443:
            # a session carries HTTP/1.1 and is itself the protection: TLS inside would meet no TLS server
            raise Refused(f"{host}:443 is for https, which sessions do not carry", f"use http://{host}/")
        return way, self.port(way, port)

    def port(self, way: Way, port: int) -> int:
        """http's own port stands for the service port; any other names a service port itself."""
        return self.service_port if way is Way.SESSION and port == 80 else port
