"""The control plane under a fleet: heartbeats' answer times, how fast a change or a purge reaches watchers, memory.

`sennit control` runs as a process of its own, on SQLite in clear with fleets of several sizes; with 10,000 edges also
over TLS, and on PostgreSQL. The fleet is this process, one connection an edge, and every edge beats once in 5 s. Client
and server (and PostgreSQL) share the machine's processors, so that the figures are upper bounds.
"""

import asyncio
import contextlib
import gc
import json
import resource
import socket
import ssl
import statistics
import sys
import tempfile
import time
from asyncio import sslproto
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from balancer.control.storage.database import database_url
from benchmarks.control.fleet import Beats, FleetConnection, edge_credential, fill_database, in_portions
from benchmarks.edge.peers import free_ports, make_certificate
from benchmarks.measurement.result import Curve, Measured, Value
from tests.support import postgresql

FLEETS = (100, 1_000, 10_000, 50_000)
TARGET_FLEET = 10_000
CONNECTIONS = 10_000  # at most: of a greater fleet several edges share one
BEAT_EVERY = 5.0
SECONDS = 15.0  # of measured heartbeats, after one round to warm up
WATCHERS = 1_000
PURGES = 5  # of each measurement at these watchers
ADMIN = "the-admin-token-of-this-benchmark"


@dataclass(frozen=True)
class Setting:
    """What is measured: on which database, and whether over TLS as real edges are."""

    folder: Path
    database: str | None = None
    tls: bool = False
    lease_seconds: int = 60

    def trusting(self) -> ssl.SSLContext | None:
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=str(self.folder / "cert.pem"))
        context.check_hostname = False  # the certificate is for localhost
        return context


def measure() -> list[Measured]:
    """Some three minutes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sslproto.SSLProtocol.max_size = 16 << 10  # 10,000 clients in one process: not 256 KiB each
    results: list[Measured] = []
    memory: list[tuple[float, float]] = []
    publishing: list[tuple[float, float]] = []
    for edges in FLEETS:
        with temporary_folder() as folder:
            seen = asyncio.run(_measure_fleet(Setting(folder), edges))
        memory.append((edges, seen["memory"]))
        publishing.append((edges, seen["change"]))
        if edges == TARGET_FLEET:
            results += _at_ten_thousand("", seen)
    results += _over_tls()
    results += _on_postgresql()
    results.append(Curve("control plane, resident memory", "edges", "MB", {"SQLite": memory}))
    results.append(
        Curve("control plane, a drain until it is answered", "edges", "ms", {"SQLite": publishing})
    )
    return results


def _over_tls() -> list[Measured]:
    with temporary_folder() as folder:
        make_certificate(folder)
        seen = asyncio.run(_measure_fleet(Setting(folder, tls=True), TARGET_FLEET))
    return [*_at_ten_thousand(", over TLS", seen), _fleet_value("memory over TLS", "MB", seen["memory"])]


def _on_postgresql() -> list[Measured]:
    """As durable as Debian's package sets it up, on a disk that all share."""
    with temporary_folder() as folder, postgresql.cluster(settings=()) as server:
        seen = asyncio.run(_measure_fleet(Setting(folder, database=server.database()), TARGET_FLEET))
    return _at_ten_thousand(", on PostgreSQL", seen)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _fleet_value(name: str, unit: str, figure: float, target: float | None = None) -> Value:
    return Value(f"{TARGET_FLEET:,} edges, {name}", unit, "lower", figure, figure, figure, target)


def _at_ten_thousand(how: str, seen: dict[str, float]) -> list[Measured]:
    return [
        _fleet_value(f"beating every 5 s{how}, p99", "ms", seen["p99"], 50.0),
        _fleet_value(f"beating every 5 s{how}, median", "ms", seen["median"]),
        _fleet_value(f"first heartbeats until the whole fleet is up{how}", "s", seen["start"]),
        _fleet_value(f"a table change at {WATCHERS:,} watchers, the last{how}", "s", seen["watchers"], 1.0),
        _fleet_value(f"a purge at {WATCHERS:,} watchers, p99{how}", "ms", seen["purge"], 150.0),
        _fleet_value(f"processor of the control plane{how}", "cores", seen["cpu"]),
    ]


async def _measure_fleet(setting: Setting, edges: int) -> dict[str, float]:
    fill_database(database_url(setting.folder, setting.database), edges)
    async with running_control(setting) as (port, process):
        connections, tls = min(edges, CONNECTIONS), setting.trusting()
        beats = [
            Beats(port, range(start, edges + 1, connections), tls) for start in range(1, connections + 1)
        ]
        gc.disable()  # half a second of the fleet's own would be read as the control plane's
        began = time.monotonic()
        await in_portions([beat.begin() for beat in beats])
        seen = {"start": time.monotonic() - began}
        if edges <= CONNECTIONS:
            seen |= await _keep_beating(beats, process.pid)
        if edges == TARGET_FLEET:
            seen["watchers"] = await _measure_watchers(port, tls)
            seen["purge"] = await _measure_purges(port, tls)
        seen["change"] = await _drain(port, tls)
        seen["memory"] = resident_memory(process.pid)
        for beat in beats:
            beat.close()
    gc.enable()
    return seen


async def _keep_beating(beats: list[Beats], pid: int) -> dict[str, float]:
    for beat in beats:
        beat.took.clear()
    began, used = time.monotonic(), _processor_seconds(pid)
    await asyncio.gather(*(beat.keep(BEAT_EVERY, SECONDS) for beat in beats))
    took = sorted(each * 1000 for beat in beats for each in beat.took)
    return {
        "p99": took[int(len(took) * 0.99)],
        "median": statistics.median(took),
        "cpu": (_processor_seconds(pid) - used) / (time.monotonic() - began),
    }


@contextlib.asynccontextmanager
async def running_control(setting: Setting) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """`sennit control`, and its port."""
    folder, port = setting.folder, free_ports(1)
    (folder / "admin").write_text(ADMIN)
    sennit = Path(sys.executable).with_name("sennit")
    flags: list[str | Path] = [
        "--state",
        folder,
        "--listen",
        f"127.0.0.1:{port}",
        "--admin-token-file",
        folder / "admin",
    ]
    flags += ["--lease-seconds", str(setting.lease_seconds), "--log-level", "error"]
    if setting.tls:
        flags += ["--tls-certificate", folder / "cert.pem", "--tls-key", folder / "key.pem"]
    if setting.database:
        flags += ["--database", setting.database]
    process = await asyncio.create_subprocess_exec(sennit, "control", *flags)
    try:
        await _wait_until_listening(port)
        yield port, process
    finally:
        process.terminate()
        await process.wait()


async def _wait_until_listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            await asyncio.sleep(0.05)


async def _measure_watchers(port: int, tls: ssl.SSLContext | None) -> float:
    """Seconds from a drain's request until the last watcher has read what it changed."""
    watchers = [FleetConnection(port, tls) for _ in range(WATCHERS)]
    await in_portions([watcher.open() for watcher in watchers], 100)
    known = json.loads(await watchers[0].ask("GET", "/v1/table/acknowledgements", ADMIN))["generation"]
    path, tag = f"/v1/table?wait=50&since={known}", f'if-none-match: "{known}"\r\n'
    polls = [asyncio.create_task(each.ask("GET", path, edge_credential(1), more=tag)) for each in watchers]
    await asyncio.sleep(2)  # all of them wait by now
    began = time.monotonic()
    await _drain(port, tls)
    await asyncio.gather(*polls)
    took = time.monotonic() - began
    for watcher in watchers:
        watcher.close()
    return took


async def _measure_purges(port: int, tls: ssl.SSLContext | None) -> float:
    """Milliseconds from a purge's request until a watcher has read it: the 99th percentile of all."""
    watchers = [FleetConnection(port, tls) for _ in range(WATCHERS)]
    await in_portions([watcher.open() for watcher in watchers], 100)
    admin, took, newest = FleetConnection(port, tls), list[float](), 0
    await admin.open()

    async def wait_for_purge(watcher: FleetConnection) -> float:
        await watcher.ask("GET", f"/v1/purges?after={newest}&wait=50", edge_credential(1))
        return time.monotonic()

    for number in range(PURGES):
        polls = [asyncio.create_task(wait_for_purge(each)) for each in watchers]
        await asyncio.sleep(2)  # all of them wait by now
        began = time.monotonic()
        made = await admin.ask("POST", "/v1/purges", ADMIN, {"tag": f"t{number}"})
        took += [ended - began for ended in await asyncio.gather(*polls)]
        newest = json.loads(made)["id"]
    for connection in (admin, *watchers):
        connection.close()
    return sorted(took)[int(len(took) * 0.99)] * 1000


async def _drain(port: int, tls: ssl.SSLContext | None) -> float:
    admin = FleetConnection(port, tls)
    await admin.open()
    edge = json.loads(await admin.ask("GET", "/v1/edges/2", ADMIN))
    wanted = "active" if edge["admin_state"] == "draining" else "draining"
    began = time.monotonic()
    await admin.ask("PATCH", "/v1/edges/2", ADMIN, {"admin_state": wanted})
    took = (time.monotonic() - began) * 1000
    admin.close()
    return took


def resident_memory(pid: int) -> float:
    """Megabytes that a process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (each for each in status.splitlines() if each.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def _processor_seconds(pid: int) -> float:
    """Seconds of processor time that a process's main thread has used."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
