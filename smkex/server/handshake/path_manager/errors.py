"""The error of a path manager that has ended."""

from smkex.transport.mptcp.errors import MptcpError


class PathManagerGone(MptcpError):
    """The path manager process has ended: no MPTCP connection can be steered any more."""

    hint = "see its last lines in the edge's log; restart the edge"
