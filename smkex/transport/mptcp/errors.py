"""Errors of a connection whose messages are pinned to paths."""

import errno
import os

from smkex.core import errors
from smkex.core.errors import AbortCode, SmkexError


class MptcpError(SmkexError):
    """The pinned connection cannot go on. `hint` says what to do, if anything can be done."""

    code = AbortCode.CANCELLED
    hint: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint if hint is not None else type(self).hint


class NotPermitted(MptcpError):
    """The process may not steer subflows or set policy routes."""

    hint = (
        "kernel MPTCP needs CAP_NET_ADMIN in this network namespace: run as root, give the program the "
        "capability (setcap cap_net_admin+ep, docker --cap-add NET_ADMIN), or use --transport tcp"
    )


class MptcpUnsupported(MptcpError):
    """The kernel has no MPTCP, or not the part that is needed (Linux 5.19 or newer has)."""

    hint = "use --transport tcp, or a kernel of version 5.19 or newer with net.mptcp.enabled=1"


class MptcpFellBack(MptcpError, errors.FellBackToTcp):
    """The peer, or something between, does not speak MPTCP: there is one path only."""

    code = AbortCode.FELL_BACK_TO_TCP


class MissingSubflow(MptcpError, errors.OnePathOnly):
    """A path's subflow could not be established, or is gone."""

    code = AbortCode.ONE_PATH_ONLY


class UnexpectedSubflow(MptcpError, errors.WrongPath):
    """A subflow exists that this end did not request, or its addresses are wrong."""

    code = AbortCode.WRONG_PATH


class MptcpWrongPath(MptcpError, errors.WrongPath):
    """Bytes were sent or received on another path than the one they were pinned to."""

    code = AbortCode.WRONG_PATH


class MptcpWrongEgress(MptcpError, errors.SharedPath):
    """The routing tables would send a path's packets out of another interface."""

    code = AbortCode.SHARED_PATH


class PeerClosed(MptcpError, errors.Truncated):
    """The peer closed the connection, or reset it, in the middle of the exchange."""

    code = AbortCode.TRUNCATED


class MptcpTimedOut(MptcpError, errors.DeadlineMissed):
    """A wait timed out."""

    code = AbortCode.DEADLINE_MISSED


def as_not_permitted(error: OSError, what: str) -> OSError | NotPermitted:
    """Turn a refusal for lack of privilege into the error that says what to do; others stay what they are."""
    if error.errno in (errno.EPERM, errno.EACCES, errno.EROFS):
        return NotPermitted(f"{what}: {os.strerror(error.errno)}")
    return error
