"""Host and port of a URL or of the Host field, in one canonical form (RFC 3986 sections 3.2 and 6.2.2)."""

import ipaddress
import re
from dataclasses import dataclass

from smkex.http.semantics.integers import parse_integer

HOST_LIMIT = 255  # octets of a host name
DEFAULT_PORTS = (80, 443)  # of http, https and smkex: one store serves all schemes
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^\[\]:@]*)(?::([0-9]*))?", re.ASCII)
_REG_NAME = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})", re.ASCII)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True)
class Authority:
    """A canonical host (lower case, no final dot, compressed IPv6 address) and a port, None for a default one."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Authority":
        """Parse `host [":" port]`. Raises `ValueError`, also for user information; an empty host is allowed."""
        match = _AUTHORITY.fullmatch(text)
        if match is None:
            raise ValueError(f"not a host and a port: {text[:80]!r}")
        host, port = match[1], match[2]
        number = parse_integer(port) if port else None
        if number is not None and not 0 < number < 65536:
            raise ValueError(f"not a port: {port[:80]!r}")
        name = _canonical_address(host) if host.startswith("[") else _canonical_name(host)
        if not name and number is not None:
            raise ValueError("a port without a host")
        return cls(name, None if number in DEFAULT_PORTS else number)


def _canonical_address(host: str) -> str:
    if "%" in host:
        raise ValueError(f"an IPv6 address with a zone: {host[:80]!r}")
    return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"


def _canonical_name(host: str) -> str:
    if _REG_NAME.fullmatch(host) is None or len(host) > HOST_LIMIT:
        raise ValueError(f"not a host name: {host[:80]!r}")
    name = _PERCENT.sub(_decode_unreserved, host).lower().removesuffix(".")
    if "%" in name:  # a delimiter or an octet that no DNS name has: what reads it next may see another host
        raise ValueError(f"not a host name: {host[:80]!r}")
    if name.endswith(".") or name.startswith(".") or ".." in name:
        raise ValueError(f"an empty label in the host name: {host[:80]!r}")
    return name


def _decode_unreserved(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0]
