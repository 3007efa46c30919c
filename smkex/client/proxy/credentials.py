"""The names and passwords that programs must send to the proxy, where it asks for them."""

import base64
import binascii
import hmac
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Names with their passwords, compared in constant time."""

    accounts: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> "Credentials":
        """Lines of `NAME:PASSWORD`; empty ones and those that begin with # are passed over. Raises ValueError."""
        lines = [line.strip("\r") for line in text.split("\n")]
        accounts = tuple(_parse_account(line) for line in lines if line and not line.startswith("#"))
        if not accounts:
            raise ValueError("no line NAME:PASSWORD")
        if len({name for name, _ in accounts}) < len(accounts):
            raise ValueError("a name stands there twice")
        return cls(accounts)

    def match(self, name: bytes, password: bytes) -> bool:
        given = name + b":" + password
        found = False
        for one, other in self.accounts:  # all are compared: the time does not say which it is
            found |= hmac.compare_digest(f"{one}:{other}".encode(), given)
        return found

    def match_basic(self, header: bytes | None) -> bool:
        """Whether a Proxy-Authorization header says the same (RFC 7617)."""
        scheme, _, encoded = (header or b"").partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            name, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except binascii.Error:
            return False
        return self.match(name, password)


def _parse_account(line: str) -> tuple[str, str]:
    name, colon, password = line.partition(":")
    # RFC 1929 has one byte for each length
    if not (colon and name and password) or max(len(name.encode()), len(password.encode())) > 255:
        raise ValueError("not NAME:PASSWORD of at most 255 bytes each")
    return name, password
