"""Secure Multipath Key Exchange: the protocol library, its client and its server.

The public names below are imported on first use: the core needs none of the others' libraries.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smkex.client.connect import connect
    from smkex.client.connection import Connection
    from smkex.client.edge_cache import EdgeCache
    from smkex.client.http import SmkexSyncTransport, SmkexTransport
    from smkex.client.known_hosts import KnownHost, KnownHosts
    from smkex.client.options import ConnectOptions
    from smkex.client.report import ConnectionReport, PathReport
    from smkex.core.errors import (
        AddressDisagrees,
        BadRecord,
        BadShare,
        BindingMismatch,
        Cancelled,
        CertificateRefused,
        CommitmentMismatch,
        DeadlineMissed,
        Draining,
        FellBackToTcp,
        FinishedMismatch,
        FleetKeyChanged,
        HostIsKnown,
        MacMismatch,
        MalformedMessage,
        MisusedStream,
        NameNotOpened,
        NoCommonAead,
        NoCommonGroup,
        NoCommonMode,
        OnePathOnly,
        Overlap,
        Overloaded,
        PeerAborted,
        ServiceRefused,
        SharedPath,
        SmkexError,
        StepChanged,
        StepMismatch,
        StepMissed,
        TlsFailed,
        TooManyCandidates,
        TooManySteps,
        Truncated,
        UnexpectedMessage,
        UnsupportedVersion,
        WindowExceeded,
        WrongPath,
    )
    from smkex.core.session.path_scheduler import Scheduler
    from smkex.core.wire.messages import LocatorKind, Mode
    from smkex.core.wire.named_group import NamedGroup
    from smkex.server.connection import AcceptedConnection
    from smkex.server.identity import IdentityUnusable
    from smkex.server.limits.server_limits import ServerLimits
    from smkex.server.options import ServerOptions
    from smkex.server.report import AcceptedPath, SessionReport
    from smkex.server.start import SessionServer, serve, start_server
    from smkex.transport.routes.host_name import InvalidHostName

__all__ = [
    "AcceptedConnection",
    "AcceptedPath",
    "AddressDisagrees",
    "BadRecord",
    "BadShare",
    "BindingMismatch",
    "Cancelled",
    "CertificateRefused",
    "CommitmentMismatch",
    "ConnectOptions",
    "Connection",
    "ConnectionReport",
    "DeadlineMissed",
    "Draining",
    "EdgeCache",
    "FellBackToTcp",
    "FinishedMismatch",
    "FleetKeyChanged",
    "HostIsKnown",
    "IdentityUnusable",
    "InvalidHostName",
    "KnownHost",
    "KnownHosts",
    "LocatorKind",
    "MacMismatch",
    "MalformedMessage",
    "MisusedStream",
    "Mode",
    "NameNotOpened",
    "NamedGroup",
    "NoCommonAead",
    "NoCommonGroup",
    "NoCommonMode",
    "OnePathOnly",
    "Overlap",
    "Overloaded",
    "PathReport",
    "PeerAborted",
    "Scheduler",
    "ServerLimits",
    "ServerOptions",
    "ServiceRefused",
    "SessionReport",
    "SessionServer",
    "SharedPath",
    "SmkexError",
    "SmkexSyncTransport",
    "SmkexTransport",
    "StepChanged",
    "StepMismatch",
    "StepMissed",
    "TlsFailed",
    "TooManyCandidates",
    "TooManySteps",
    "Truncated",
    "UnexpectedMessage",
    "UnsupportedVersion",
    "WindowExceeded",
    "WrongPath",
    "connect",
    "serve",
    "start_server",
]

_ERRORS = "smkex.core.errors"
_MODULES = {
    "AcceptedConnection": "smkex.server.connection",
    "AcceptedPath": "smkex.server.report",
    "ConnectOptions": "smkex.client.options",
    "Connection": "smkex.client.connection",
    "ConnectionReport": "smkex.client.report",
    "EdgeCache": "smkex.client.edge_cache",
    "IdentityUnusable": "smkex.server.identity",
    "InvalidHostName": "smkex.transport.routes.host_name",
    "KnownHost": "smkex.client.known_hosts",
    "KnownHosts": "smkex.client.known_hosts",
    "LocatorKind": "smkex.core.wire.messages",
    "Mode": "smkex.core.wire.messages",
    "NamedGroup": "smkex.core.wire.named_group",
    "PathReport": "smkex.client.report",
    "Scheduler": "smkex.core.session.path_scheduler",
    "ServerLimits": "smkex.server.limits.server_limits",
    "ServerOptions": "smkex.server.options",
    "SessionReport": "smkex.server.report",
    "SessionServer": "smkex.server.start",
    "SmkexSyncTransport": "smkex.client.http",
    "SmkexTransport": "smkex.client.http",
    "connect": "smkex.client.connect",
    "serve": "smkex.server.start",
    "start_server": "smkex.server.start",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, _ERRORS)), name)
