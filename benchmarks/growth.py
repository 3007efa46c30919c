"""How the cost of an edge and of a session grows with work: sessions held, sizes of objects, paths.

Sessions: the edge of memory.py, whose processor time for each new key exchange and memory are looked at while more and
more sessions stand open. Sizes: whole downloads from a hit in the edge's cache over loopback, beside nginx. Paths: one
stream through two sessions in memory, spread over all of their paths.
"""

import asyncio
import os
import resource
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.edge_load import ask, close, open_one
from benchmarks.edge_peers import Peer, certificate, edge, nginx
from benchmarks.memory import SPARE, running_edge, session, settled
from benchmarks.result import Curve, Measured
from smkex.core.events import DataReceived
from smkex.core.frame import FrameReader
from smkex.core.messages import Aead
from smkex.core.schedule import KeySchedule
from smkex.core.scheduler import Scheduler
from smkex.core.session import Session

SESSIONS = (100, 1_000, 5_000, 10_000, 20_000)
SIZES = (1 << 10, 32 << 10, 1 << 20, 32 << 20, 1 << 30)
PATHS = (1, 2, 3, 4)
STREAM, BLOCK = 64 << 20, 256 << 10
ROUNDS = 3
SMALL, WARM = 1 << 20, 20  # bytes, downloads


def measure() -> list[Measured]:
    """About two minutes."""
    return [*_sessions(), _sizes(), _paths()]


def _sessions() -> list[Measured]:
    most = (_descriptors(2 * SESSIONS[-1] + 2 * SPARE) - SPARE) // 2
    held: list[socket.socket] = []
    memory: list[tuple[float, float]] = []
    work: list[tuple[float, float]] = []
    with running_edge() as process:
        begun = process.state()["cpu"]
        for count in sorted({min(count, most) for count in SESSIONS}):
            print(f"growth: {count:,} sessions ...", file=sys.stderr, flush=True)
            more = count - len(held) // 2
            for _ in range(more):
                session(process.ports, held)
            resident = settled(process, "sessions", len(held))
            used = process.state()["cpu"]
            memory.append((count, resident / 1e6))
            work.append((count, (used - begun) / more * 1e6))
            begun = used
    for each in held:
        each.close()
    return [
        Curve("memory of an edge with open sessions", "sessions", "MB", {"edge": memory}),
        Curve(
            "processor time of a key exchange while others stand open",
            "sessions",
            "microseconds",
            {"edge": work},
        ),
    ]


def _descriptors(wanted: int) -> int:
    """Raise the limit on open files as far as this machine lets; the edge inherits it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _sizes() -> Curve:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        certificate(folder)
        (folder / "www").mkdir()
        for size in SIZES:
            with (folder / "www" / str(size)).open("wb") as file:
                file.truncate(size)
        peers = [stack.enter_context(edge(folder))]
        if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"):
            peers.append(stack.enter_context(nginx(folder)))
        lines: dict[str, list[tuple[float, float]]] = {peer.name: [] for peer in peers}
        for size in SIZES:
            print(f"growth: objects of {size:,} bytes ...", file=sys.stderr, flush=True)
            for peer in peers:  # in turn
                lines[peer.name].append((size, asyncio.run(_download(peer, size))))
    return Curve("a cached object over a session that stands", "bytes", "seconds", lines)


async def _download(peer: Peer, size: int) -> float:
    """Median seconds of a download. The first fills the cache, and some more of what is small warm up the peers."""
    streams = await open_one("session" if peer.name == "edge" else "tls", peer.port)
    warm, rounds = (WARM, 10 * WARM) if size <= SMALL else (1, ROUNDS)
    times = []
    for _ in range(warm + rounds):
        begun = time.perf_counter()
        await ask(*streams[:2], str(size))
        times.append(time.perf_counter() - begun)
    close(streams)
    return statistics.median(times[warm:])


def _paths() -> Curve:
    lines: dict[str, list[tuple[float, float]]] = {}
    for scheduler in (Scheduler.AGGREGATE, Scheduler.REDUNDANT):
        points = [(paths, _median(partial(_stream, scheduler, paths))) for paths in PATHS]
        lines[scheduler.name.lower()] = [(paths, seconds / STREAM * 1e9) for paths, seconds in points]
    return Curve("a stream over all paths, sealed and opened", "paths", "ns a byte", lines)


def _median(run: Callable[[], float]) -> float:
    return statistics.median(run() for _ in range(ROUNDS))


def _stream(scheduler: Scheduler, paths: int) -> float:
    """Seconds to bring the stream from server to client in memory, all paths alike."""
    keys = KeySchedule(Aead.AES_128_GCM, [bytes(32)], bytes(32))
    client = Session(keys, "client", scheduler=scheduler)
    server = Session(keys, "server", scheduler=scheduler)
    for path in range(paths):
        client.add_path(path, FrameReader(), 0.0, 0.0)
        server.add_path(path, FrameReader(), 0.0, 0.0)
    data, received = os.urandom(BLOCK), 0
    started = time.perf_counter()
    for _ in range(STREAM // BLOCK):
        server.write(data)
        while frames := [(path, frame) for path in range(paths) if (frame := server.data_to_send(path, 0.0))]:
            for path, frame in frames:
                for event in client.receive(path, frame, 0.0):
                    if isinstance(event, DataReceived):
                        received += len(event.data)
                        client.consume(len(event.data))
        for path in range(paths):
            while frame := client.data_to_send(path, 0.0):
                server.receive(path, frame, 0.0)
    assert received == STREAM
    return time.perf_counter() - started
