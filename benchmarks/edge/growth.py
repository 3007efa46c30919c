"""How the cost of an edge and of a session grows with work: sessions held, sizes of objects, paths.

Sessions: edges as in memory.py, whose processor time for each new key exchange and memory are looked at while more and
more sessions stand open; as many processes share them as the limit on open files asks for. Sizes: whole downloads from
a hit in the edge's cache over loopback, beside nginx. Paths: one stream through two sessions in memory, spread over all
of their paths.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.edge.load_client import abort_streams, fetch_path, open_one
from benchmarks.edge.memory import SPARE, raise_descriptor_limit, running_edge, settled_memory
from benchmarks.edge.peers import Peer, make_certificate, running_caching_edge, running_nginx
from benchmarks.measurement.result import Curve, Measured
from smkex.core.events import DataReceived
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.session.session import Session
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Aead, Mode

SESSIONS = (100, 1_000, 5_000, 10_000, 20_000)
SIZES = (1 << 10, 32 << 10, 1 << 20, 32 << 20, 1 << 30)
PATHS = (1, 2, 3, 4)
STREAM, BLOCK = 64 << 20, 256 << 10
ROUNDS = 3
SMALL, WARM = 1 << 20, 20  # bytes, downloads


def measure() -> list[Measured]:
    """About two minutes."""
    return [*_measure_sessions(), _measure_sizes(), _measure_paths()]


class _Holder:
    """One edge, and a process that opens sessions with it and holds them: both need two descriptors for each."""

    def __init__(self, stack: ExitStack) -> None:
        self._edge = stack.enter_context(running_edge())
        command = [sys.executable, "-m", "benchmarks.edge.session_holder", *map(str, self._edge.ports)]
        self._process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        stack.callback(self._process.kill)
        self._held = 0
        self.cpu = self._edge.state()["cpu"]

    def hold(self, count: int) -> tuple[int, float]:
        """Hold `count` sessions: the edge's resident bytes then, and processor seconds for those that are new."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(count - self._held, file=self._process.stdin, flush=True)
        if not self._process.stdout.readline():
            raise RuntimeError("the sessions' holder ended")
        self._held = count
        resident = settled_memory(self._edge, "sessions", 2 * count)
        before, self.cpu = self.cpu, self._edge.state()["cpu"]
        return resident, self.cpu - before


def _measure_sessions() -> list[Measured]:
    each = (raise_descriptor_limit() - SPARE) // 2
    processes = -(-SESSIONS[-1] // each)
    memory: list[tuple[float, float]] = []
    work: list[tuple[float, float]] = []
    with ExitStack() as stack:
        holders = [_Holder(stack) for _ in range(processes)]
        begun = 0
        for count in SESSIONS:
            print(f"growth: {count:,} sessions ...", file=sys.stderr, flush=True)
            shares = [count // processes + (number < count % processes) for number in range(processes)]
            found = [holder.hold(share) for holder, share in zip(holders, shares, strict=True)]
            memory.append((count, sum(resident for resident, _ in found) / 1e6))
            work.append((count, sum(seconds for _, seconds in found) / (count - begun) * 1e6))
            begun = count
    return [
        Curve("memory of edges with open sessions", "sessions", "MB", {"edge": memory}),
        Curve(
            "processor time of a key exchange while others stand open",
            "sessions",
            "microseconds",
            {"edge": work},
        ),
    ]


def _measure_sizes() -> Curve:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        make_certificate(folder)
        (folder / "www").mkdir()
        for size in SIZES:
            with (folder / "www" / str(size)).open("wb") as file:
                file.truncate(size)
        peers = [stack.enter_context(running_caching_edge(folder))]
        if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"):
            peers.append(stack.enter_context(running_nginx(folder)))
        lines: dict[str, list[tuple[float, float]]] = {peer.name: [] for peer in peers}
        for size in SIZES:
            print(f"growth: objects of {size:,} bytes ...", file=sys.stderr, flush=True)
            for peer in peers:  # in turn
                lines[peer.name].append((size, asyncio.run(_time_download(peer, size))))
    return Curve("a cached object over a session that stands", "bytes", "seconds", lines)


async def _time_download(peer: Peer, size: int) -> float:
    """Median seconds of a download. The first fills the cache, and some more of what is small warm up the peers."""
    streams = await open_one("session" if peer.name == "edge" else "tls", peer.port)
    warm, rounds = (WARM, 10 * WARM) if size <= SMALL else (1, ROUNDS)
    times = []
    for _ in range(warm + rounds):
        begun = time.perf_counter()
        await fetch_path(*streams[:2], str(size))
        times.append(time.perf_counter() - begun)
    abort_streams(streams)
    return statistics.median(times[warm:])


def _measure_paths() -> Curve:
    lines: dict[str, list[tuple[float, float]]] = {}
    for scheduler in (Scheduler.AGGREGATE, Scheduler.REDUNDANT):
        points = [(paths, _median_of_rounds(partial(_time_stream, scheduler, paths))) for paths in PATHS]
        lines[scheduler.name.lower()] = [(paths, seconds / STREAM * 1e9) for paths, seconds in points]
    return Curve("a stream over all paths, sealed and opened", "paths", "ns a byte", lines)


def _median_of_rounds(run: Callable[[], float]) -> float:
    return statistics.median(run() for _ in range(ROUNDS))


def _time_stream(scheduler: Scheduler, paths: int) -> float:
    """Seconds to bring the stream from server to client in memory, all paths alike."""
    client, server = (
        Session(
            KeySchedule(Mode.OPPORTUNISTIC, Aead.AES_128_GCM, [bytes(32)], bytes(32)),
            role,
            scheduler=scheduler,
        )
        for role in ("client", "server")
    )
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
