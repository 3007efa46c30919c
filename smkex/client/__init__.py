"""The client: connect() gives asyncio streams, http an httpx transport, report what can be said of the paths."""

from smkex.client.connect import Connection, connect

__all__ = ["Connection", "connect"]
