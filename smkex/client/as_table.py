"""Which AS announces an address, by a table that the user gives: nothing is asked of any server.

A line is a prefix and the AS that originates it, `192.0.2.0/24 64500`, or in three columns as CAIDA's pfx2as files have
it, `192.0.2.0<tab>24<tab>64500`. Several origins are joined by `_` or `,`. Empty lines and comments (`#`) are skipped.
"""

import re
import socket
from pathlib import Path

from smkex.transport.routes.routes import Address

FILE_LIMIT = 256 << 20  # bytes: the whole Internet's table takes 30 MB
LINE_LIMIT = 4_000_000
ORIGIN_LIMIT = 64  # of one prefix
_LINE = re.compile(rb"([0-9a-fA-F.:]{2,45})(?:/|[ \t]+)(0|[1-9][0-9]{0,2})[ \t]+([0-9]+(?:[_,][0-9]+)*)")


class InvalidAsTable(ValueError):
    """A file is not a table of prefixes and ASes; the text names file and line."""


class AsTable:
    """A table in memory; look-ups take the longest prefix."""

    def __init__(self) -> None:
        self._prefixes: dict[tuple[int, int], dict[int, tuple[int, ...]]] = {}  # by version and length
        self._lengths: dict[int, list[int]] = {4: [], 6: []}

    @classmethod
    def read(cls, path: Path) -> "AsTable":
        """Read a file. Raises OSError, `InvalidAsTable`."""
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
        if len(content) > FILE_LIMIT or content.count(b"\n") > LINE_LIMIT:
            raise InvalidAsTable(f"{path}: more than {FILE_LIMIT} bytes or {LINE_LIMIT} lines")
        table = cls()
        origins: dict[bytes, tuple[int, ...]] = {}
        for number, line in enumerate(content.splitlines(), 1):
            if not line or line.startswith(b"#"):
                continue
            try:
                table._add_line(line, origins)
            except (ValueError, OSError) as error:
                raise InvalidAsTable(f"{path}:{number}: {error}") from None
        for version, length in sorted(table._prefixes, reverse=True):
            table._lengths[version].append(length)
        return table

    def find_origins(self, address: Address) -> tuple[int, ...]:
        """Return the ASes that announce the longest prefix of an address, none where the table has no prefix of it."""
        bits, value = address.max_prefixlen, int(address)
        for length in self._lengths[address.version]:
            found = self._prefixes[address.version, length].get(value >> (bits - length))
            if found is not None:
                return found
        return ()

    def _add_line(self, line: bytes, origins: dict[bytes, tuple[int, ...]]) -> None:
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError("not PREFIX AS, or ADDRESS LENGTH AS")
        text, length_text, origin_text = found.groups()
        length = int(length_text)
        if b":" in text:
            version, packed = 6, socket.inet_pton(socket.AF_INET6, text.decode())
        else:
            version, packed = 4, socket.inet_pton(socket.AF_INET, text.decode())
        behind, value = 8 * len(packed) - length, int.from_bytes(packed, "big")
        prefix = value >> behind if behind >= 0 else -1
        if prefix << max(behind, 0) != value:
            raise ValueError(f"{text.decode()}/{length} has bits behind its length")
        if origin_text not in origins:
            origins[origin_text] = _parse_origins(origin_text)
        prefixes = self._prefixes.setdefault((version, length), {})
        before = prefixes.setdefault(prefix, origins[origin_text])
        if before is not origins[origin_text]:
            prefixes[prefix] = _merge_origins(before, origins[origin_text])


def _parse_origins(text: bytes) -> tuple[int, ...]:
    words = re.split(rb"[_,]", text)
    if len(words) > ORIGIN_LIMIT:
        raise ValueError(f"more than {ORIGIN_LIMIT} origins")
    for word in words:
        if len(word) > 10 or word.startswith(b"0") or int(word) > 0xFFFFFFFF:
            raise ValueError(f"not an AS number: {word[:20].decode()}")
    return tuple(sorted({int(word) for word in words}))


def _merge_origins(before: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    merged = tuple(sorted({*before, *more}))
    if len(merged) > ORIGIN_LIMIT:
        raise ValueError(f"more than {ORIGIN_LIMIT} origins")
    return merged
