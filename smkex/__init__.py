"""Secure Multipath Key Exchange: the protocol library that a client and an edge share, and the client.

The client's names are imported on first use: the core needs none of its libraries.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smkex.client import Connection, connect

__all__ = ["Connection", "connect"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from smkex import client

    return getattr(client, name)
