"""How a path's resolver is written, and how it is asked: plain DNS, DNS over TLS (RFC 7858), over HTTPS (RFC 8484).

    192.0.2.53, [2001:db8::53]:5353           UDP, and TCP for what does not fit
    tls://192.0.2.53#dns.example              port 853; the certificate is for the name, without one for the address
    tls://192.0.2.53#sha256//BASE64           or has this public key: the SHA-256 of its SubjectPublicKeyInfo
    https://192.0.2.53/dns-query#dns.example  port 443

The resolver is always given by its address: a name would have to be resolved before the path has a resolver.
"""

import base64
import ipaddress
import re
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import urlsplit

from smkex.transport.routes.host_name import HostName, InvalidHostName
from smkex.transport.routes.routes import Address
from smkex.transport.routes.target import format_endpoint

DEFAULT_QUERY_PATH = "/dns-query"
PIN_PREFIX = "sha256//"
PIN_LENGTH = 32
_VISIBLE = re.compile("[!-~]{1,1024}")


class InvalidResolver(ValueError):
    """The text names no resolver; the message says why."""

    hint = "a resolver is ADDRESS, tls://ADDRESS#NAME or https://ADDRESS/dns-query#NAME, each with or without :PORT"


class ResolverKind(Enum):
    """The scheme, and the port by default."""

    PLAIN = ("dns", 53)
    TLS = ("tls", 853)
    HTTPS = ("https", 443)


@dataclass(frozen=True, slots=True)
class ResolverAddress:
    """`name` is what the certificate is for, `pin` the digest of its public key; both empty: for the address."""

    address: Address
    port: int = ResolverKind.PLAIN.value[1]
    kind: ResolverKind = ResolverKind.PLAIN
    name: str = ""
    pin: bytes = b""
    query_path: str = ""

    @classmethod
    def parse(cls, text: str) -> "ResolverAddress":
        """Raises `InvalidResolver`."""
        if not _VISIBLE.fullmatch(text):
            raise InvalidResolver(f"{text[:80]!r}: not visible ASCII characters without a space")
        plain = _parse_address(text)
        if plain is not None:
            return cls(plain)
        try:
            parts = urlsplit(text if "://" in text else f"dns://{text}")
            kind = next(kind for kind in ResolverKind if kind.value[0] == parts.scheme)
            address, port = _parse_address(parts.hostname or ""), parts.port
        except StopIteration:
            raise InvalidResolver(f"{text}: the scheme is none of dns, tls, https") from None
        except ValueError as error:
            raise InvalidResolver(f"{text}: {error}") from None
        if address is None:
            raise InvalidResolver(f"{text}: {parts.hostname or 'nothing'} is not an address")
        if port == 0 or parts.username is not None or parts.query:
            raise InvalidResolver(
                f"{text}: only an address, a port, a path and what identifies the certificate"
            )
        path = parts.path.rstrip("/")
        if kind is not ResolverKind.HTTPS and path:
            raise InvalidResolver(f"{text}: a path is for https:// alone")
        if kind is ResolverKind.PLAIN and "#" in text:
            raise InvalidResolver(f"{text}: plain DNS has no certificate; write tls:// before it")
        made = cls(address, port or kind.value[1], kind)
        if kind is ResolverKind.HTTPS:
            made = replace(made, query_path=path or DEFAULT_QUERY_PATH)
        return made._identified_by(parts.fragment, text)

    def _identified_by(self, identity: str, text: str) -> "ResolverAddress":
        if identity.startswith(PIN_PREFIX):
            try:
                pin = base64.b64decode(identity.removeprefix(PIN_PREFIX), validate=True)
            except ValueError:
                pin = b""
            if len(pin) != PIN_LENGTH:
                raise InvalidResolver(f"{text}: {PIN_PREFIX} is followed by 32 bytes in base64")
            return replace(self, pin=pin)
        try:
            return replace(self, name=HostName.parse(identity).server_name) if identity else self
        except InvalidHostName as error:
            raise InvalidResolver(f"{text}: {error}") from None

    @property
    def protected(self) -> bool:
        """Whether answers come from the resolver and are what it sent, whatever the path does."""
        return self.kind is not ResolverKind.PLAIN

    @property
    def certified_name(self) -> str:
        """The name or address that the certificate is verified for, and that TLS and HTTP ask for."""
        return self.name or str(self.address)

    def __str__(self) -> str:
        scheme, usual = self.kind.value
        where = format_endpoint(str(self.address), self.port)
        if not self.protected:
            return str(self.address) if self.port == usual else where
        pin = PIN_PREFIX + base64.b64encode(self.pin).decode() if self.pin else ""
        identity = self.name or pin
        return f"{scheme}://{where}{self.query_path}{'#' if identity else ''}{identity}"


def _parse_address(text: str) -> Address | None:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return address if getattr(address, "scope_id", None) is None else None
