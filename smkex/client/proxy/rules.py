"""Rules: which route a host takes (session, direct or refused). Decided before anything is opened."""

from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from smkex.core.wire.locator import SERVICE_PORT
from smkex.transport.routes.host_name import HostName, InvalidHostName


class ProxyRoute(Enum):
    SESSION = "session"
    DIRECT = "direct"


class RequestRefused(Exception):
    """The proxy's rules forbid this; `hint` says what would be allowed."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Rules:
    """`hosts` are shell patterns of names or addresses that go by sessions; others are refused, or go direct.

    A host that goes by sessions never goes any other route, whatever happens.
    """

    hosts: tuple[str, ...] = ("*",)
    others_direct: bool = False
    service_port: int = SERVICE_PORT

    def select_route(self, host: str) -> ProxyRoute:
        """Return the route of a host. Raises `RequestRefused`, `InvalidHostName`."""
        name = HostName.parse(host).text
        if any(fnmatchcase(name, _canonical_pattern(pattern)) for pattern in self.hosts):
            return ProxyRoute.SESSION
        if self.others_direct:
            return ProxyRoute.DIRECT
        raise RequestRefused(
            f"{host} is not of the CDN ({', '.join(self.hosts)})",
            "start the proxy with --host for it, or with --others direct",
        )

    def select_tunnel(self, host: str, port: int) -> tuple[ProxyRoute, int]:
        """The route of a tunnel, and the port to dial. Raises `RequestRefused`."""
        route = self.select_route(host)
        if route is ProxyRoute.SESSION and port == 443:
            # a session carries HTTP/1.1 and is itself the protection: TLS inside would meet no TLS server
            raise RequestRefused(
                f"{host}:443 is for https, which sessions do not carry", f"use http://{host}/"
            )
        return route, self.select_port(route, port)

    def select_port(self, route: ProxyRoute, port: int) -> int:
        """http's own port stands for the service port; any other names a service port itself."""
        return self.service_port if route is ProxyRoute.SESSION and port == 80 else port


def _canonical_pattern(pattern: str) -> str:
    """Return a pattern in the form of the names that it is compared with."""
    try:
        return HostName.parse(pattern).text
    except InvalidHostName:
        labels = pattern.lower().removesuffix(".").split(".")
        return ".".join(
            label if label.isascii() else label.encode("idna").decode("ascii") for label in labels
        )
