"""Content codings of a service: which responses are compressed, for which requests, and what the head says then.

Only stored responses are compressed: they are for every client, so that nothing secret of one client stands beside
what another one chose (BREACH).
"""

import zlib
from collections.abc import Mapping

import brotli
import zstandard

from edge.cache.rules.stored_response import StoredResponse
from edge.http.fields import Fields, Pairs, list_members, parse_directives
from services.transforms import Coding, Compression
from smkex.http.semantics.conditions import EntityTag

BROTLI_QUALITY = 5  # as CDNs use for what they compress themselves: most of the gain at a tenth of the time
ZSTD_LEVEL = 6
GZIP_LEVEL = 6
# fields of the body as it was: of the compressed one they would be wrong (RFC 9530)
_BODY_DIGESTS = frozenset({"content-digest", "content-md5", "digest", "repr-digest"})


class ContentCodings:
    """Compiled `compression` of a document."""

    def __init__(self, compression: Compression) -> None:
        self._codings = compression.codings
        self._exact = frozenset(one for one in compression.types if not one.endswith("/*"))
        self._prefixes = tuple(one.removesuffix("*") for one in compression.types if one.endswith("/*"))
        self._sizes = range(compression.minimum_bytes, compression.maximum_bytes + 1)

    def choose_coding(self, asked: Fields) -> Coding | None:
        """Return the coding that a request prefers, in the service's order where it has no preference.

        A range is of the body as the origin sent it: compressed ones of two edges need not be the same bytes.
        """
        if "range" in asked or "accept-encoding" not in asked:
            return None
        weights = _parse_weights(asked["accept-encoding"])
        others = weights.get("*", 0.0)
        best, chosen = weights.get("identity", 0.0), None
        for coding in self._codings:
            weight = weights.get(coding, others)
            if weight > 0 and (weight > best or (chosen is None and weight == best)):
                best, chosen = weight, coding
        return chosen

    def covers(self, entry: StoredResponse) -> bool:
        """Whether a stored response is compressed where a client accepts it."""
        if entry.status != 200 or "content-encoding" in entry.fields:
            return False
        if entry.size >= 0 and entry.size not in self._sizes:  # not yet known while it arrives
            return False
        media = entry.fields.get("content-type", "").partition(";")[0].strip().lower()
        if media not in self._exact and not media.startswith(self._prefixes):
            return False
        return "no-transform" not in parse_directives(entry.fields.get("cache-control", ""))


def coded_key(source: StoredResponse, coding: Coding) -> str:
    """Return the key of a compressed body: one of the URL's keys, and only of exactly this source."""
    return f"{source.key}{'' if source.key.count(' ') > 1 else ' '}~{source.id}~{coding}"


def uncoded_view(source: StoredResponse) -> StoredResponse:
    """Return what clients are sent of a response that others are sent compressed."""
    return source.with_changes(headers=_add_vary(source.headers))


def coded_view(source: StoredResponse, body: StoredResponse, coding: Coding) -> StoredResponse:
    """Return what clients are sent of a response in a coding; freshness and fields are those of the source now."""
    return source.with_changes(
        key=body.key,
        headers=_coded_headers(source.headers, coding),
        body=body.body,
        file=body.file,
        size=body.size,
        id=body.id,
    )


def compress_body(data: bytes, coding: Coding) -> bytes:
    """Compress a whole body. The same input gives the same output with the same library."""
    if coding is Coding.BROTLI:
        return bytes(brotli.compress(data, quality=BROTLI_QUALITY))
    if coding is Coding.ZSTD:
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data)
    made = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return made.compress(data) + made.flush()


def _coded_headers(headers: Pairs, coding: Coding) -> Pairs:
    kept = [
        pair for pair in headers if pair[0] not in _BODY_DIGESTS and pair[0] not in ("etag", "accept-ranges")
    ]
    tags = [tag for name, value in headers if name == "etag" and (tag := EntityTag.parse(value)) is not None]
    # weak, since what is compressed anew may be other bytes; its own, since it is not what the origin's tag names
    own = [("etag", f'W/{tag.opaque[:-1]}-{coding}"') for tag in tags]
    return [*_add_vary(kept), *own, ("content-encoding", str(coding)), ("accept-ranges", "none")]


def _add_vary(headers: Pairs) -> Pairs:
    named = {member for name, value in headers if name == "vary" for member in list_members(value)}
    return headers if named & {"*", "accept-encoding"} else [*headers, ("vary", "accept-encoding")]


def _parse_weights(value: str) -> Mapping[str, float]:
    """Parse Accept-Encoding (RFC 9110 section 12.5.3); an invalid weight refuses."""
    found: dict[str, float] = {}
    for member in list_members(value):
        coding, *parameters = (part.strip() for part in member.split(";"))
        weight = next((one[2:].strip() for one in parameters if one.startswith("q=")), "1")
        name = coding.removeprefix("x-") if coding in ("x-gzip", "x-compress") else coding
        try:
            found[name] = min(1.0, max(0.0, float(weight)))
        except ValueError:
            found[name] = 0.0
    return found
