"""Every cause that ends a handshake, a path or a session: one class and one code each.

Abort carries the code (docs/protocol); a caller catches the class. `PeerAborted` reports the other end's code, which is
only a hint while no keys exist. No error triggers a fallback: it ends what it names.
"""

from enum import IntEnum, unique
from typing import ClassVar


@unique
class AbortCode(IntEnum):
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
    NO_COMMON_GROUP = 29
    COMMITMENT_MISMATCH = 30
    SERVICE_REFUSED = 31
    NAME_NOT_OPENED = 32
    STEP_CHANGED = 33
    STEP_MISMATCH = 34
    STEP_MISSED = 35
    TOO_MANY_STEPS = 36


class SmkexError(Exception):
    """Base of all errors of the protocol; Abort carries `code` to the other end."""

    code: ClassVar[AbortCode]

    def __init__(self, message: str = "", detail: bytes = b"") -> None:
        """`detail` is what Abort carries behind the code."""
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0].rstrip("."))
        self.detail = detail


class MalformedMessage(SmkexError):
    """A message does not have the form of docs/protocol."""

    code = AbortCode.MALFORMED


class UnsupportedVersion(SmkexError):
    """The other end speaks another version."""

    code = AbortCode.UNSUPPORTED_VERSION


class NoCommonMode(SmkexError):
    """No mode that both ends accept."""

    code = AbortCode.NO_COMMON_MODE


class NoCommonAead(SmkexError):
    """No AEAD that both ends accept."""

    code = AbortCode.NO_COMMON_AEAD


class NoCommonGroup(SmkexError):
    """No group of the key exchange that both ends accept."""

    code = AbortCode.NO_COMMON_GROUP


class CommitmentMismatch(SmkexError):
    """A ClientNonce does not open the commitment of its ClientShare."""

    code = AbortCode.COMMITMENT_MISMATCH


class BadShare(SmkexError):
    """A share is invalid, or gives an all-zero result (RFC 7748 section 6.1, FIPS 203 section 7.2)."""

    code = AbortCode.BAD_SHARE


class BindingMismatch(SmkexError):
    """The hash on path 1 is not that of the shares on path 0: one of the paths is under attack."""

    code = AbortCode.BINDING_MISMATCH


class MacMismatch(SmkexError):
    """The edge's MAC is not keyed by the shared secret."""

    code = AbortCode.MAC_MISMATCH


class FinishedMismatch(SmkexError):
    """The client's Finished does not verify."""

    code = AbortCode.FINISHED_MISMATCH


class CertificateRefused(SmkexError):
    """The edge's certificate is not valid."""

    code = AbortCode.CERTIFICATE_REFUSED


class FleetKeyChanged(SmkexError):
    """The edge's certificate is signed by another fleet key than the remembered or stated one."""

    code = AbortCode.FLEET_KEY_CHANGED


class TlsFailed(SmkexError):
    """TLS of mode mtls failed on path 0."""

    code = AbortCode.TLS_FAILED


class HostIsKnown(SmkexError):
    """A fleet key is remembered for this host, so only mode tofu is allowed."""

    code = AbortCode.HOST_IS_KNOWN


class WrongPath(SmkexError):
    """A message arrived on the wrong path."""

    code = AbortCode.WRONG_PATH


class UnexpectedMessage(SmkexError):
    """A message arrived that is not allowed in this state."""

    code = AbortCode.UNEXPECTED_MESSAGE


class SharedPath(SmkexError):
    """Both subflows share a path, so one attacker could be on both."""

    code = AbortCode.SHARED_PATH


class AddressDisagrees(SmkexError):
    """The resolvers of the paths return different service addresses or records."""

    code = AbortCode.ADDRESS_DISAGREES


class OnePathOnly(SmkexError):
    """No second path could be established."""

    code = AbortCode.ONE_PATH_ONLY


class FellBackToTcp(SmkexError):
    """The connection is plain TCP where MPTCP was asked for."""

    code = AbortCode.FELL_BACK_TO_TCP


class DeadlineMissed(SmkexError):
    """The handshake was not done in time."""

    code = AbortCode.DEADLINE_MISSED


class TooManyCandidates(SmkexError):
    """More nonces were offered for one session than the edge accepts."""

    code = AbortCode.TOO_MANY_CANDIDATES


class Overloaded(SmkexError):
    """The edge has no room for another handshake or session."""

    code = AbortCode.OVERLOADED


class Draining(SmkexError):
    """The edge is draining and accepts no new sessions."""

    code = AbortCode.DRAINING


class ServiceRefused(SmkexError):
    """The service that the server name belongs to does not accept this session: mode, paths or client address."""

    code = AbortCode.SERVICE_REFUSED


class NameNotOpened(SmkexError):
    """No name key of this edge opens the sealed server name; `detail` is the one that it gives to clients, if any."""

    code = AbortCode.NAME_NOT_OPENED

    def __init__(self, detail: bytes = b"") -> None:
        super().__init__("no name key of this edge opens the sealed server name", detail)


class BadRecord(SmkexError):
    """A record or control message does not authenticate; its subflow is closed."""

    code = AbortCode.BAD_RECORD


class Overlap(SmkexError):
    """Two different records claim the same bytes of the stream."""

    code = AbortCode.OVERLAP


class MisusedStream(SmkexError):
    """The authenticated peer breaks the rules of the stream."""

    code = AbortCode.MISUSED_STREAM


class WindowExceeded(SmkexError):
    """The peer sent beyond the window it was given."""

    code = AbortCode.WINDOW_EXCEEDED


class Truncated(SmkexError):
    """All paths were lost before the end of the stream was authenticated."""

    code = AbortCode.TRUNCATED


class StepChanged(SmkexError):
    """A join names another key step than the session's: it is to be tried again with the present one."""

    code = AbortCode.STEP_CHANGED


class StepMismatch(SmkexError):
    """The paths of a key step disagree: an attacker who holds the session's keys is on one of them."""

    code = AbortCode.STEP_MISMATCH


class StepMissed(SmkexError):
    """A key step was not completed in time although a path works."""

    code = AbortCode.STEP_MISSED


class TooManySteps(SmkexError):
    """The peer asks for key steps more often than it may."""

    code = AbortCode.TOO_MANY_STEPS


class Cancelled(SmkexError):
    """The other end's application cancelled the session."""

    code = AbortCode.CANCELLED


class PeerAborted(SmkexError):
    """The other end aborted; `peer_code` is its reason, only a hint unless `authenticated`.

    `peer_detail` is what came behind the code.
    """

    code = AbortCode.CANCELLED

    def __init__(self, peer_code: int, *, authenticated: bool, peer_detail: bytes = b"") -> None:
        try:
            name = AbortCode(peer_code).name.lower().replace("_", "-")
        except ValueError:
            name = f"code {peer_code}"
        super().__init__(f"the other end aborted: {name}" + ("" if authenticated else " (not authenticated)"))
        self.peer_code = peer_code
        self.authenticated = authenticated
        self.peer_detail = peer_detail
