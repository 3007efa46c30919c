"""Host names in one canonical form, made wherever a name enters: options, URLs, files, proxy requests.

Security decisions are keyed by this form: lower case, no final dot, A-labels (IDNA 2003, the standard library's codec),
IPv4 and compressed IPv6 addresses, IPv4-mapped IPv6 addresses as IPv4. Parsing a canonical name changes nothing.
"""

import ipaddress
import re
from dataclasses import dataclass

from smkex.transport.routes.routes import Address

NAME_LIMIT = 253  # characters of a name without its final dot (RFC 1035 section 2.3.4)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)  # a last label that other resolvers read as IPv4


class InvalidHostName(ValueError):
    """The text is neither a host name nor an address."""

    hint = "a host is a DNS name of at most 253 characters, an IPv4 address or an IPv6 address"


@dataclass(frozen=True, slots=True)
class HostName:
    """A canonical host; `address` is set where it is an address."""

    text: str
    address: Address | None = None

    @classmethod
    def parse(cls, text: str) -> "HostName":
        """Raises `InvalidHostName`."""
        address = _parse_address(text)
        if address is None:
            name = _encode_labels(text)
            address = _parse_address(name)  # full-width digits, for example
        return cls(str(address), address) if address is not None else cls(_check_name(name, text))

    @property
    def server_name(self) -> str:
        """The name for ClientShare, empty for an address."""
        return self.text if self.address is None else ""

    def __str__(self) -> str:
        return self.text


def _parse_address(text: str) -> Address | None:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "%" in bare or (bare is not text and ":" not in bare):
        return None  # zones are not part of a service address; brackets are for IPv6
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if address.version == 6 else address


def _encode_labels(text: str) -> str:
    if len(text) > 4 * NAME_LIMIT:
        raise InvalidHostName(f"not a host name: {text[:40]!r}..., {len(text)} characters")
    try:
        name = text.encode("idna").decode("ascii") if not text.isascii() else text
    except UnicodeError:
        raise InvalidHostName(f"not a host name: {text[:80]!r}") from None
    return name.lower().removesuffix(".")


def _check_name(name: str, text: str) -> str:
    labels = name.split(".")
    if len(name) > NAME_LIMIT:
        raise InvalidHostName(
            f"host name of {len(name)} characters, more than {NAME_LIMIT}: {text[:40]!r}..."
        )
    if not all(map(_LABEL.fullmatch, labels)):
        raise InvalidHostName(f"not a host name: {text[:80]!r}")
    if _NUMBER.fullmatch(labels[-1]):
        raise InvalidHostName(f"neither a host name nor an address: {text[:80]!r}")
    return name
