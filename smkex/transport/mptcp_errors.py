"""What can go wrong with a connection whose messages are pinned to paths, each cause with its own error."""


class MptcpError(Exception):
    """The pinned connection cannot go on. `hint` says what a person can do, where something can be done."""

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


class Unsupported(MptcpError):
    """The kernel has no MPTCP, or not the part that is needed (Linux 5.19 or newer has)."""

    hint = "use --transport tcp, or a kernel of version 5.19 or newer with net.mptcp.enabled=1"


class FellBackToTcp(MptcpError):
    """The peer, or something between, does not speak MPTCP: there is one path only."""


class MissingSubflow(MptcpError):
    """A path's subflow could not be established, or is gone."""


class UnexpectedSubflow(MptcpError):
    """A subflow exists that nobody on this end asked for, or with other addresses than it must have."""


class WrongPath(MptcpError):
    """Bytes went, or came, over another path than the one they were pinned to."""


class WrongEgress(MptcpError):
    """The routing tables would send a path's packets out of another interface."""


class PeerClosed(MptcpError):
    """The peer closed the connection, or reset it, in the middle of the exchange."""


class TimedOut(MptcpError):
    """A bounded wait ran out."""
