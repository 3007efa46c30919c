"""The chunked transfer coding of a response, as it arrives (RFC 9112 section 7.1).

h11 refuses white space before an extension, which section 7.1.1 requires recipients to accept, bounds the extensions of
one chunk only, and copies bodies three times.
"""

import re
from enum import Enum, auto

# a size, and extensions, which are not interpreted
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})([ \t]*(?:;[\t -~\x80-\xff]*)?)")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_LINE_END = b"\r\n"


class _Expected(Enum):
    SIZE = auto()
    END_OF_CHUNK = auto()
    TRAILER = auto()


class ChunkedDecoder:
    """Decodes one body. Its extensions and trailers, which are dropped, may have `limit` bytes together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._expected = _Expected.SIZE
        self._left = 0  # bytes of the current chunk
        self._beside = 0  # bytes of extensions and trailers
        self._held = b""  # the begin of a line
        self.ended = False
        self.left_over = b""  # what came behind the end

    def decode(self, data: bytes) -> list[bytes]:
        """Return the parts of the body in `data`. Raises `ValueError` for an invalid coding."""
        data, self._held = self._held + data, b""
        found: list[bytes] = []
        at = 0
        while not self.ended:
            if self._left:
                part = data[at : at + self._left]
                if not part:
                    return found
                found.append(part)
                self._left -= len(part)
                at += len(part)
                continue
            end = data.find(_LINE_END, at)
            self._check_limit((end if end >= 0 else len(data)) - at)
            if end < 0:
                self._held = data[at:]
                return found
            self._take_line(data[at:end])
            at = end + len(_LINE_END)
        self.left_over += data[at:]
        return found

    def _take_line(self, line: bytes) -> None:
        if self._expected is _Expected.SIZE:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise ValueError(f"invalid chunk size: {line[:80]!r}")
            self._left = int(match[1], 16)
            self._beside += len(match[2])
            self._expected = _Expected.END_OF_CHUNK if self._left else _Expected.TRAILER
        elif self._expected is _Expected.END_OF_CHUNK:
            if line:
                raise ValueError("a chunk is longer than its size")
            self._expected = _Expected.SIZE
        elif not line:
            self.ended = True
        elif _TRAILER.fullmatch(line) is None:
            raise ValueError(f"invalid trailer: {line[:80]!r}")
        else:
            self._beside += len(line)

    def _check_limit(self, line: int) -> None:
        if self._beside + line > self._limit:
            raise ValueError(f"chunk extensions and trailers exceed {self._limit} bytes")
