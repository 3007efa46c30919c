"""A fleet of edges in one process, as far as the control plane can see it: one connection an edge, and heartbeats."""

import asyncio
import hashlib
import json
import ssl
import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime

from sqlalchemy import URL, create_engine, insert

from balancer.control.storage.database import migrate_schema
from balancer.control.storage.records import EdgeRecord, SiteRecord, VipRecord


def fill_database(url: URL, edges: int) -> None:
    """Edges that enrolled: their rows, and no heartbeat yet."""
    migrate_schema(url)
    engine = create_engine(url)
    now = datetime.now(UTC)
    with engine.begin() as connection:
        vip = {"name": "main", "v4": "203.0.113.1", "service_port": 443, "locator": "port"}
        connection.execute(insert(VipRecord), [vip | {"id_port_base": 10_000, "revision": 0}])
        connection.execute(insert(SiteRecord), [{"name": "a", "description": "", "revision": 0}])
        rows = [
            {
                "id": number,
                "name": f"edge{number}",
                "site": "a",
                "tunnel_v4": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
                "vip_name": "main",
                "credential_sha256": hashlib.sha256(edge_credential(number).encode()).hexdigest(),
                "admin_state": "active",
                "alive": False,
                "enrolled_at": now,
                "revision": 0,
            }
            for number in range(1, edges + 1)
        ]
        connection.execute(insert(EdgeRecord), rows)
    engine.dispose()


def edge_credential(number: int) -> str:
    return f"credential-of-edge-{number}"


class Busy(Exception):
    """The control plane answered 503."""


class FleetConnection:
    """One HTTP/1.1 connection, as little work for this side as can be."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._port, self._tls = port, tls

    async def open(self) -> None:
        where = ("127.0.0.1", self._port)
        self._reader, self._writer = await asyncio.open_connection(*where, limit=1 << 26, ssl=self._tls)

    def close(self) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, token: str, body: object = None, more: str = "") -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: c\r\nauthorization: Bearer {token}\r\n{more}"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        self._writer.write(head.encode() + content)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        (length,) = (
            line[15:] for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        content = await self._reader.readexactly(int(length))
        if answer.startswith(b"HTTP/1.1 503"):
            raise Busy
        if not answer.startswith(b"HTTP/1.1 20"):
            raise RuntimeError(f"{method} {path}: {answer + content!r}")
        return content


class Beats(FleetConnection):
    """The heartbeats of one edge, or of several."""

    def __init__(self, port: int, edges: range, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port, tls)
        self._edges = edges
        self.took: list[float] = []

    async def begin(self) -> None:
        """Connect and beat at once: who connects and asks nothing is let go."""
        await self.open()
        await self.round()

    async def round(self) -> None:
        """Send one heartbeat for each edge; repeat those answered 503, which counts as waiting."""
        body = {"health": "ok", "applied_generation": 1, "announcing": True}
        for edge in self._edges:
            began = time.monotonic()
            while True:
                try:
                    await self.ask("PUT", f"/v1/edges/{edge}/lease", edge_credential(edge), body)
                    break
                except Busy:
                    await asyncio.sleep(0.5)
            self.took.append(time.monotonic() - began)

    async def keep(self, every: float, seconds: float) -> None:
        """Beat evenly, each connection at its own moment."""
        due = time.monotonic() + every * (self._edges[0] % 9973) / 9973
        for _ in range(int(seconds / every)):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self.round()
            due += every


async def in_portions(work: Sequence[Awaitable[object]], size: int = 500) -> None:
    """Do it all, so many at a time: who is let in later waits here and not in the other end's queue."""
    for start in range(0, len(work), size):
        await asyncio.gather(*work[start : start + size])
