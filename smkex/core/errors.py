"""Every cause that ends a handshake, a path or a session: one class and one code each.

The code is what Abort carries (docs/protocol); the class is what a caller catches. `PeerAborted` is the other
end's word for it, a hint while no keys exist. Nothing here falls back: an error ends what it names.
"""

from enum import IntEnum, unique
from typing import ClassVar


@unique
class Code(IntEnum):
    """Codes of Abort, as sent."""

    MALFORMED = 1
    UNSUPPORTED_VERSION = 2
    NO_COMMON_MODE = 3
    NO_COMMON_AEAD = 4
    BAD_SHARE = 5
    BINDING_MISMATCH = 6
    MAC_MISMATCH = 7
    FINISHED_MISMATCH = 8
    WRONG_PATH = 9
    UNEXPECTED_MESSAGE = 10
    SHARED_PATH = 11
    ADDRESS_DISAGREES = 12
    ONE_PATH_ONLY = 13
    FELL_BACK_TO_TCP = 14
    DEADLINE_MISSED = 15
    TOO_MANY_CANDIDATES = 16
    OVERLOADED = 17
    BAD_RECORD = 18
    OVERLAP = 19
    WINDOW_EXCEEDED = 20
    TRUNCATED = 21
    CANCELLED = 22
    MISUSED_STREAM = 23
    CERTIFICATE_REFUSED = 24
    FLEET_KEY_CHANGED = 25
    HOST_IS_KNOWN = 26
    TLS_FAILED = 27
    DRAINING = 28


class SmkexError(Exception):
    """Base of all errors of the protocol; `code` is what Abort tells the other end."""

    code: ClassVar[Code]

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0].rstrip("."))


class MalformedMessage(SmkexError):
    """A message does not have the form of docs/protocol."""

    code = Code.MALFORMED


class UnsupportedVersion(SmkexError):
    """The other end speaks another version."""

    code = Code.UNSUPPORTED_VERSION


class NoCommonMode(SmkexError):
    """No mode that both ends accept."""

    code = Code.NO_COMMON_MODE


class NoCommonAead(SmkexError):
    """No AEAD that both ends accept."""

    code = Code.NO_COMMON_AEAD


class BadShare(SmkexError):
    """A Diffie-Hellman share gives an all-zero result (RFC 7748 section 6.1)."""

    code = Code.BAD_SHARE


class BindingMismatch(SmkexError):
    """The hash on path 1 is not that of the shares on path 0: one of the paths is under attack."""

    code = Code.BINDING_MISMATCH


class MacMismatch(SmkexError):
    """The edge's MAC is not keyed by the shared secret."""

    code = Code.MAC_MISMATCH


class FinishedMismatch(SmkexError):
    """The client's Finished does not verify."""

    code = Code.FINISHED_MISMATCH


class CertificateRefused(SmkexError):
    """The certificate of the edge does not hold."""

    code = Code.CERTIFICATE_REFUSED


class FleetKeyChanged(SmkexError):
    """The edge's certificate is by another fleet key than the one that is remembered."""

    code = Code.FLEET_KEY_CHANGED


class TlsFailed(SmkexError):
    """TLS of mode mtls failed on path 0."""

    code = Code.TLS_FAILED


class HostIsKnown(SmkexError):
    """A fleet key is remembered for this host, so nothing weaker than tofu will do."""

    code = Code.HOST_IS_KNOWN


class WrongPath(SmkexError):
    """A message arrived on another path than the one it belongs to."""

    code = Code.WRONG_PATH


class UnexpectedMessage(SmkexError):
    """A message arrived that has no place here."""

    code = Code.UNEXPECTED_MESSAGE


class SharedPath(SmkexError):
    """Both subflows go the same way, so one attacker could sit on both."""

    code = Code.SHARED_PATH


class AddressDisagrees(SmkexError):
    """The resolvers of the paths do not agree about the service address."""

    code = Code.ADDRESS_DISAGREES


class OnePathOnly(SmkexError):
    """A second path could not be had."""

    code = Code.ONE_PATH_ONLY


class FellBackToTcp(SmkexError):
    """The connection is plain TCP where MPTCP was asked for."""

    code = Code.FELL_BACK_TO_TCP


class DeadlineMissed(SmkexError):
    """The handshake was not done in time."""

    code = Code.DEADLINE_MISSED


class TooManyCandidates(SmkexError):
    """More nonces were offered for one session than a session takes."""

    code = Code.TOO_MANY_CANDIDATES


class Overloaded(SmkexError):
    """The edge has no room for another handshake or session."""

    code = Code.OVERLOADED


class Draining(SmkexError):
    """The edge takes no new sessions: it is being drained."""

    code = Code.DRAINING


class BadRecord(SmkexError):
    """A record or control message does not authenticate; its subflow is closed."""

    code = Code.BAD_RECORD


class Overlap(SmkexError):
    """Two different records claim the same bytes of the stream."""

    code = Code.OVERLAP


class MisusedStream(SmkexError):
    """The peer, authenticated, breaks the rules of the stream."""

    code = Code.MISUSED_STREAM


class WindowExceeded(SmkexError):
    """The peer sent beyond the window it was given."""

    code = Code.WINDOW_EXCEEDED


class Truncated(SmkexError):
    """All paths are gone before the end of the stream was authenticated."""

    code = Code.TRUNCATED


class Cancelled(SmkexError):
    """The other end's application gave up."""

    code = Code.CANCELLED


class PeerAborted(SmkexError):
    """The other end aborted; `peer_code` is its reason, a mere hint when no keys protected it."""

    code = Code.CANCELLED

    def __init__(self, peer_code: int, *, authenticated: bool) -> None:
        try:
            name = Code(peer_code).name.lower().replace("_", "-")
        except ValueError:
            name = f"code {peer_code}"
        super().__init__(f"the other end aborted: {name}" + ("" if authenticated else " (not authenticated)"))
        self.peer_code = peer_code
        self.authenticated = authenticated
