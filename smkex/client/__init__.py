"""The client: connect() returns asyncio streams, http has httpx transports, report the path report."""

from smkex.client.connect import connect
from smkex.client.connection import Connection
from smkex.client.options import ConnectOptions

__all__ = ["ConnectOptions", "Connection", "connect"]
