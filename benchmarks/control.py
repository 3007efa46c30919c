"""The control plane under a fleet: heartbeats' answer times, how fast a change reaches watchers, memory.

`sennit control` runs as a process of its own on SQLite; the fleet is this process, one connection an edge. Every edge
beats once in 5 s. Client and server share the machine's processors, so that the figures are upper bounds.
"""

import asyncio
import contextlib
import gc
import hashlib
import json
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, insert

from balancer.control.database import migrate, url_of
from balancer.control.records import EdgeRecord, SiteRecord, VipRecord
from benchmarks.result import Curve, Measured, Value

FLEETS = (100, 1_000, 10_000, 50_000)
CONNECTIONS = 10_000  # at most: of a greater fleet several edges share one
BEAT_EVERY = 5.0
SECONDS = 15.0  # of measured heartbeats, after one round to warm up
WATCHERS = 1_000
ADMIN = "the-admin-token-of-this-benchmark"


def measure() -> list[Measured]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results: list[Measured] = []
    memory, publishing = [], []
    for edges in FLEETS:
        with tempfile.TemporaryDirectory() as folder:
            seen = asyncio.run(_fleet(Path(folder), edges))
        memory.append((edges, seen["memory"]))
        publishing.append((edges, seen["change"]))
        if edges == 10_000:
            results += _at_ten_thousand(seen)
    results.append(Curve("control plane, resident memory", "edges", "MB", {"SQLite": memory}))
    results.append(
        Curve("control plane, a drain until it is answered", "edges", "ms", {"SQLite": publishing})
    )
    return results


def _at_ten_thousand(seen: dict[str, float]) -> list[Measured]:
    def value(name: str, unit: str, figure: float, target: float | None = None) -> Value:
        return Value(name, unit, "lower", figure, figure, figure, target)

    return [
        value("10,000 edges beating every 5 s, p99", "ms", seen["p99"], 50.0),
        value("10,000 edges beating every 5 s, median", "ms", seen["median"]),
        value("10,000 edges, first heartbeats until the whole fleet is up", "s", seen["start"]),
        value(f"a table change at {WATCHERS:,} watchers, the last", "s", seen["watchers"], 1.0),
    ]


async def _fleet(folder: Path, edges: int) -> dict[str, float]:
    _fill(folder, edges)
    async with _control(folder) as (port, process):
        connections = min(edges, CONNECTIONS)
        beats = [_Beats(port, range(start, edges + 1, connections)) for start in range(1, connections + 1)]
        gc.disable()  # half a second of the fleet's own would be read as the control plane's
        began = time.monotonic()
        await _in_portions([beat.begin() for beat in beats])
        seen = {"start": time.monotonic() - began}
        for beat in beats:
            beat.took.clear()
        if edges <= CONNECTIONS:
            await asyncio.gather(*(beat.keep(BEAT_EVERY, SECONDS) for beat in beats))
            took = sorted(each * 1000 for beat in beats for each in beat.took)
            seen |= {"p99": took[int(len(took) * 0.99)], "median": statistics.median(took)}
        if edges == 10_000:
            seen["watchers"] = await _watchers(port)
        seen["change"] = await _drain(port)
        seen["memory"] = _resident(process.pid)
        for beat in beats:
            beat.close()
    gc.enable()
    return seen


def _fill(folder: Path, edges: int) -> None:
    """Edges that enrolled: their rows, and no heartbeat yet."""
    migrate(url_of(folder, None))
    engine = create_engine(url_of(folder, None))
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
                "credential_sha256": hashlib.sha256(_credential(number).encode()).hexdigest(),
                "admin_state": "active",
                "alive": False,
                "enrolled_at": now,
                "revision": 0,
            }
            for number in range(1, edges + 1)
        ]
        connection.execute(insert(EdgeRecord), rows)
    engine.dispose()


def _credential(number: int) -> str:
    return f"credential-of-edge-{number}"


@contextlib.asynccontextmanager
async def _control(folder: Path) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    (folder / "admin").write_text(ADMIN)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    sennit = Path(sys.executable).with_name("sennit")
    flags = ["--state", folder, "--listen", f"127.0.0.1:{port}", "--admin-token-file", folder / "admin"]
    more = ["--lease-seconds", "60", "--log-level", "error"]
    process = await asyncio.create_subprocess_exec(sennit, "control", *flags, *more)
    try:
        while True:
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            await asyncio.sleep(0.05)
        yield port, process
    finally:
        process.terminate()
        await process.wait()


class _Connection:
    """One HTTP/1.1 connection, as little work for this side as can be."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 26)

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
        assert answer.startswith(b"HTTP/1.1 20"), answer
        (length,) = (
            line[15:] for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        return await self._reader.readexactly(int(length))


class _Beats(_Connection):
    """The heartbeats of one edge, or of several."""

    def __init__(self, port: int, edges: range) -> None:
        super().__init__(port)
        self._edges = edges
        self.took: list[float] = []

    async def begin(self) -> None:
        """Connect and beat at once: who connects and asks nothing is let go."""
        await self.open()
        await self.round()

    async def round(self) -> None:
        for edge in self._edges:
            began = time.monotonic()
            body = {"health": "ok", "applied_generation": 1, "announcing": True}
            await self.ask("PUT", f"/v1/edges/{edge}/lease", _credential(edge), body)
            self.took.append(time.monotonic() - began)

    async def keep(self, every: float, seconds: float) -> None:
        """Beat evenly, each connection at its own moment."""
        due = time.monotonic() + every * (self._edges[0] % 9973) / 9973
        for _ in range(int(seconds / every)):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self.round()
            due += every


async def _in_portions(work: list[object]) -> None:
    for start in range(0, len(work), 500):
        await asyncio.gather(*work[start : start + 500])  # type: ignore[call-overload]


async def _watchers(port: int) -> float:
    """Seconds from a drain's request until the last watcher has read what it changed."""
    watchers = [_Connection(port) for _ in range(WATCHERS)]
    for watcher in watchers:
        await watcher.open()
    generation = json.loads(await watchers[0].ask("GET", "/v1/table/acknowledgements", ADMIN))["generation"]
    path, known = f"/v1/table?wait=50&since={generation}", f'if-none-match: "{generation}"\r\n'
    polls = [asyncio.create_task(each.ask("GET", path, _credential(1), more=known)) for each in watchers]
    await asyncio.sleep(2)  # all of them wait by now
    began = time.monotonic()
    await _drain(port)
    await asyncio.gather(*polls)
    took = time.monotonic() - began
    for watcher in watchers:
        watcher.close()
    return took


async def _drain(port: int) -> float:
    admin = _Connection(port)
    await admin.open()
    edge = json.loads(await admin.ask("GET", "/v1/edges/2", ADMIN))
    wanted = "active" if edge["admin_state"] == "draining" else "draining"
    began = time.monotonic()
    await admin.ask("PATCH", "/v1/edges/2", ADMIN, {"admin_state": wanted})
    took = (time.monotonic() - began) * 1000
    admin.close()
    return took


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (each for each in status.splitlines() if each.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
