"""Several ranges in one response: multipart/byteranges (RFC 9110 section 14.6)."""

import secrets
from dataclasses import dataclass

from smkex.http.semantics.ranges import ByteRange


@dataclass(frozen=True, slots=True)
class Multipart:
    """Heads and boundary of a multipart/byteranges body."""

    ranges: list[ByteRange]
    media_type: str | None
    boundary: str

    @classmethod
    def of(cls, ranges: list[ByteRange], media_type: str | None) -> "Multipart":
        return cls(ranges, media_type, secrets.token_hex(16))

    @property
    def content_type(self) -> str:
        return f"multipart/byteranges; boundary={self.boundary}"

    def head(self, part: ByteRange) -> bytes:
        media = f"Content-Type: {self.media_type}\r\n" if self.media_type else ""
        return f"\r\n--{self.boundary}\r\n{media}Content-Range: {part.content_range}\r\n\r\n".encode(
            "latin-1"
        )

    @property
    def tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()

    @property
    def length(self) -> int:
        return sum(len(self.head(part)) + part.length for part in self.ranges) + len(self.tail)
