"""Request targets (RFC 9112 section 3.2) and URLs, in one canonical form (RFC 3986 section 6.2.2).

A canonical target has no dot segments, no percent-encoded unreserved octets, and upper-case hexadecimal digits. An
empty query differs from none. Normalizing twice changes nothing.
"""

import re
from dataclasses import dataclass

from smkex.http.semantics.authority import Authority

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_PLAIN = frozenset(_UNRESERVED + b"!$&'()*+,;=:@/[]")  # sub-delims, pchar, and brackets, which are reserved
_PIECE = re.compile(rb"%([0-9A-Fa-f]{2})|(.)", re.DOTALL)
_INVALID = re.compile(rb"[^!-~]|#")  # control characters, spaces, octets above 127 and fragments
_ABSOLUTE = re.compile(
    rb"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL
)
_INVALID_IN_REFERENCE = re.compile(rb"[^!-~]")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*:")
SCHEMES = frozenset({b"http", b"https", b"smkex"})


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """A path with its query as written; `authority` is that of a target in absolute form."""

    path: bytes
    authority: Authority | None = None


def parse_target(target: bytes) -> RequestTarget:
    """Parse a target in origin or absolute form. Raises `ValueError`; also for the two other forms."""
    if _INVALID.search(target) is not None:
        raise ValueError("the target contains octets that a URL must not")
    if target.startswith(b"/"):
        return RequestTarget(target)
    match = _ABSOLUTE.fullmatch(target)
    if match is None or match["scheme"].lower() not in SCHEMES:
        raise ValueError("the target is neither an absolute path nor an absolute URL")
    authority = Authority.parse(match["authority"].decode("ascii"))
    if not authority.host:
        raise ValueError("the target's URL has no host")
    rest = match["rest"]
    return RequestTarget(rest if rest.startswith(b"/") else b"/" + rest, authority)


def normalize_target(target: bytes) -> bytes:
    """Return the canonical form of a path with an optional query. Raises `ValueError`."""
    if not target.startswith(b"/"):
        raise ValueError("the target is not an absolute path")
    if _INVALID.search(target) is not None:
        raise ValueError("the target contains octets that a URL must not")
    path, question, query = target.partition(b"?")
    return _remove_dot_segments(_normalize_octets(path)) + question + _normalize_octets(query)


def parse_url(url: str) -> tuple[Authority, bytes]:
    """Parse an absolute URL to its authority and canonical target; the fragment is dropped. Raises `ValueError`."""
    plain = url.partition("#")[0]
    scheme, separator, rest = plain.partition("://")
    if not separator:
        raise ValueError(f"not an absolute URL: {url[:80]!r}")
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    host = rest[:end]
    if not host.isascii():
        host = _encode_idna(host)
    octets = "".join(
        c if c.isascii() else "".join(f"%{octet:02X}" for octet in c.encode()) for c in rest[end:]
    )
    encoded = octets.replace(" ", "%20")
    target = parse_target(f"{scheme}://{host}{encoded}".encode("ascii"))
    if target.authority is None:
        raise ValueError(f"no host in the URL: {url[:80]!r}")
    return target.authority, normalize_target(target.path)


def resolve_reference(authority: Authority, base: bytes, reference: bytes) -> tuple[Authority, bytes]:
    """Resolve a Location against the URL of its request (RFC 3986 section 5.2.2). Raises `ValueError`.

    Octets that a URL must not contain are percent-encoded, as clients do that follow it.
    """
    plain = _INVALID_IN_REFERENCE.sub(lambda found: b"%%%02X" % found[0][0], reference.partition(b"#")[0])
    path, _, _ = base.partition(b"?")
    if _SCHEME.match(plain) is not None:
        target = parse_target(plain)
    elif plain.startswith(b"//"):
        target = parse_target(b"http:" + plain)
    elif plain.startswith(b"/"):
        target = RequestTarget(plain)
    elif plain.startswith(b"?"):
        target = RequestTarget(path + plain)
    else:
        target = RequestTarget(path.rpartition(b"/")[0] + b"/" + plain if plain else base)
    return target.authority or authority, normalize_target(target.path)


def _encode_idna(host: str) -> str:
    name, colon, port = host.partition(":")
    try:
        return name.encode("idna").decode("ascii") + colon + port
    except UnicodeError:
        raise ValueError(f"not a host name: {host[:80]!r}") from None


def _normalize_octets(text: bytes) -> bytes:
    return _PIECE.sub(_normalize_piece, text)


def _normalize_piece(found: re.Match[bytes]) -> bytes:
    if found[2] is not None:
        octet = found[2][0]
        # a percent sign without two digits is encoded: it must not form an encoding with what follows
        return found[2] if octet in _PLAIN or octet == ord("?") else b"%%%02X" % octet
    octet = int(found[1], 16)
    return bytes([octet]) if octet in _UNRESERVED else found[0].upper()


def _remove_dot_segments(path: bytes) -> bytes:
    """Remove "." and ".." (RFC 3986 section 5.2.4); `path` begins with "/"."""
    if b"/." not in path:
        return path
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for number, segment in enumerate(segments):
        is_last = number == len(segments) - 1
        if segment in (b".", b".."):
            if segment == b".." and kept:
                kept.pop()
            if is_last:
                kept.append(b"")
        else:
            kept.append(segment)
    return b"/" + b"/".join(kept)
