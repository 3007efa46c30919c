"""The client: connect() returns asyncio streams, http has httpx transports, report the path report."""

from smkex.client.connect import Connection, connect

__all__ = ["Connection", "connect"]
