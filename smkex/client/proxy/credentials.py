"""The proxy's optional name and password."""

import base64
import binascii
import hmac
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Compared in constant time."""

    name: str
    password: str

    @classmethod
    def parse(cls, text: str) -> "Credentials":
        """`NAME:PASSWORD`. Raises ValueError."""
        name, colon, password = text.strip("\r\n").partition(":")
        # RFC 1929 has one byte for each length
        if not (colon and name and password) or max(len(name.encode()), len(password.encode())) > 255:
            raise ValueError("not NAME:PASSWORD of at most 255 bytes each")
        return cls(name, password)

    def match(self, name: bytes, password: bytes) -> bool:
        return hmac.compare_digest(self.name.encode() + b":" + self.password.encode(), name + b":" + password)

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
