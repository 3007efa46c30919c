"""Secure Multipath Key Exchange: the protocol library that a client and an edge share, and the client.

The public names below are imported on first use: the core needs none of the client's libraries.
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
        DeadlineMissed,
        Draining,
        FellBackToTcp,
        FinishedMismatch,
        FleetKeyChanged,
        HostIsKnown,
        MacMismatch,
        MalformedMessage,
        MisusedStream,
        NoCommonAead,
        NoCommonMode,
        OnePathOnly,
        Overlap,
        Overloaded,
        PeerAborted,
        SharedPath,
        SmkexError,
        TlsFailed,
        TooManyCandidates,
        Truncated,
        UnexpectedMessage,
        UnsupportedVersion,
        WindowExceeded,
        WrongPath,
    )
    from smkex.core.session.path_scheduler import Scheduler
    from smkex.core.wire.messages import LocatorKind, Mode
    from smkex.transport.routes.host_name import InvalidHostName

__all__ = [
    "AddressDisagrees",
    "BadRecord",
    "BadShare",
    "BindingMismatch",
    "Cancelled",
    "CertificateRefused",
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
    "InvalidHostName",
    "KnownHost",
    "KnownHosts",
    "LocatorKind",
    "MacMismatch",
    "MalformedMessage",
    "MisusedStream",
    "Mode",
    "NoCommonAead",
    "NoCommonMode",
    "OnePathOnly",
    "Overlap",
    "Overloaded",
    "PathReport",
    "PeerAborted",
    "Scheduler",
    "SharedPath",
    "SmkexError",
    "SmkexSyncTransport",
    "SmkexTransport",
    "TlsFailed",
    "TooManyCandidates",
    "Truncated",
    "UnexpectedMessage",
    "UnsupportedVersion",
    "WindowExceeded",
    "WrongPath",
    "connect",
]

_ERRORS = "smkex.core.errors"
_MODULES = {
    "ConnectOptions": "smkex.client.options",
    "Connection": "smkex.client.connection",
    "ConnectionReport": "smkex.client.report",
    "EdgeCache": "smkex.client.edge_cache",
    "InvalidHostName": "smkex.transport.routes.host_name",
    "KnownHost": "smkex.client.known_hosts",
    "KnownHosts": "smkex.client.known_hosts",
    "LocatorKind": "smkex.core.wire.messages",
    "Mode": "smkex.core.wire.messages",
    "PathReport": "smkex.client.report",
    "Scheduler": "smkex.core.session.path_scheduler",
    "SmkexSyncTransport": "smkex.client.http",
    "SmkexTransport": "smkex.client.http",
    "connect": "smkex.client.connect",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, _ERRORS)), name)
