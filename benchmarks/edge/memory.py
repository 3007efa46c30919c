"""Memory of an edge: ten thousand idle sessions, ten thousand handshakes in progress, in clear and over TLS.

The edge is a process of its own with the real handshakes and HTTP server over loopback sockets, and what counts is its
resident memory: the difference between a few hundred and ten thousand. The client is plain blocking sockets around
the sans-IO core. What the kernel keeps for sockets is not in it.
"""

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measurement.result import Measured, Value
from lab.secrets import make_certificates
from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ENTROPY_LENGTH, ClientConfig, ClientEntropy
from smkex.core.handshake.tls import TlsClient, client_context
from smkex.core.wire.frame import FrameType
from smkex.core.wire.frame_reader import FrameReader

COUNT, WARM = 10_000, 500
DESCRIPTORS = 20_500  # two a session, and some; where the machine allows less, fewer sessions
SPARE = 200
PARTS = 3  # of the ten thousand: each gives a figure
PATIENCE = 30.0  # seconds for the edge to come to rest
KILOBYTE = 1024.0
HOST = "cdn.example"


class EdgeUnderTest:
    """The other process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.ports = json.loads(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def state(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line())
        return answer


@contextmanager
def running_edge(*files: Path) -> Iterator[EdgeUnderTest]:
    command = [sys.executable, "-m", "benchmarks.edge.measured_edge", *map(str, files)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield EdgeUnderTest(process)
        finally:
            process.kill()


def measure() -> list[Measured]:
    count = min(COUNT, (raise_descriptor_limit() - SPARE) // 2)
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(Path(folder), edge=(HOST,))
        certificate, key = Path(folder, "edge.pem"), Path(folder, "edge.key")
        trusting = client_context(Path(folder, "ca.pem"))

        def by_tls(ports: list[int], held: list[socket.socket]) -> None:
            tls_session(trusting, ports, held)

        def tls_waiting(ports: list[int], held: list[socket.socket]) -> None:
            held.append(path_0 := connect(ports[0]))
            path_0.sendall(TlsClient(trusting, HOST, os.urandom(32)).to_send())

        def tls_done(ports: list[int], held: list[socket.socket]) -> None:
            tls_handshake(trusting, ports, held)

        return [
            memory_per(count, "idle session, opportunistic", open_session, "sessions", 64),
            memory_per(count, "idle session, mtls", by_tls, "sessions", 64, certificate, key),
            memory_per(count, "handshake in progress: share answered", begin_handshake, "subflows", 16),
            memory_per(
                count,
                "handshake in progress: nonce answered too (two subflows)",
                handshake_before_finished,
                "subflows",
                16,
            ),
            memory_per(
                count,
                "handshake in progress, mtls: inside TLS",
                tls_waiting,
                "subflows",
                16 + 67,
                certificate,
                key,
            ),
            memory_per(
                count, "handshake in progress, mtls: TLS done", tls_done, "subflows", 16, certificate, key
            ),
        ]


def raise_descriptor_limit() -> int:
    """Raise the limit on open files, which the edge inherits; return what came of it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(max(hard, DESCRIPTORS), DESCRIPTORS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except ValueError:
        wanted = hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return wanted


Begin = Callable[[list[int], list[socket.socket]], object]


def memory_per(count: int, name: str, begin: Begin, counted: str, target: float, *files: Path) -> Value:
    """Kilobytes of the edge for each `begin`."""
    print(f"memory: {name} ...", file=sys.stderr, flush=True)
    held: list[socket.socket] = []
    figures: list[float] = []
    with running_edge(*files) as edge:
        for _ in range(WARM):
            begin(edge.ports, held)
        before = first = settled_memory(edge, counted, len(held))
        for _ in range(PARTS):
            for _ in range((count - WARM) // PARTS):
                begin(edge.ports, held)
            after = settled_memory(edge, counted, len(held))
            figures.append((after - before) / ((count - WARM) // PARTS) / KILOBYTE)
            before = after
    for each in held:
        each.close()
    whole = (before - first) / (PARTS * ((count - WARM) // PARTS)) / KILOBYTE
    return Value(f"{name} ({count:,})", "KB", "lower", whole, min(figures), max(figures), target)


def settled_memory(edge: EdgeUnderTest, counted: str, sockets: int) -> int:
    """Resident bytes once the edge has taken all in; raises when something went wrong on the way."""
    until = time.monotonic() + PATIENCE
    while True:
        state = edge.state()
        if state["failures"] or time.monotonic() > until:
            raise RuntimeError(f"{sockets} sockets, but at the edge {state}")
        there = state[counted] * (2 if counted == "sessions" else 1)
        if there == sockets:
            return int(state["resident"])


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def frame_from(connection: socket.socket, reader: FrameReader) -> tuple[FrameType, bytes]:
    while True:
        for frame in reader.frames():
            return frame
        reader.feed(connection.recv(4096))


def begin_handshake(ports: list[int], held: list[socket.socket]) -> ClientHandshake:
    """Path 0 has done its part."""
    held.append(path_0 := connect(ports[0]))
    entropy = ClientEntropy.from_bytes(os.urandom(ENTROPY_LENGTH))
    client = ClientHandshake.begin(ClientConfig(allow_shared_path=True), entropy)
    path_0.sendall(client.client_share)
    client.receive(0, *frame_from(path_0, FrameReader()))
    return client


def answer_second_path(client: ClientHandshake, ports: list[int], held: list[socket.socket]) -> None:
    """Path 1 has done its part."""
    held.append(path_1 := connect(ports[1]))
    path_1.sendall(client.client_nonce)
    client.receive(1, *frame_from(path_1, FrameReader()))


def handshake_before_finished(ports: list[int], held: list[socket.socket]) -> None:
    answer_second_path(begin_handshake(ports, held), ports, held)


def finish_handshake(client: ClientHandshake, held: list[socket.socket]) -> None:
    for path in (0, 1):
        held[path - 2].sendall(client.finished(path))


def open_session(ports: list[int], held: list[socket.socket]) -> None:
    client = begin_handshake(ports, held)
    answer_second_path(client, ports, held)
    finish_handshake(client, held)


def tls_handshake(context: Any, ports: list[int], held: list[socket.socket]) -> ClientHandshake:
    """TLS until ServerInfo."""
    held.append(path_0 := connect(ports[0]))
    nonce = os.urandom(32)
    tls, reader = TlsClient(context, HOST, nonce), FrameReader()
    path_0.sendall(tls.to_send())
    while tls.outcome is None:
        while (record := reader.next_tls_record()) is None:
            reader.feed(path_0.recv(16384))
        tls.receive(record)
        path_0.sendall(tls.to_send())
    config = ClientConfig(allow_shared_path=True)
    return ClientHandshake.after_tls(config, tls.outcome, nonce)


def tls_session(context: Any, ports: list[int], held: list[socket.socket]) -> None:
    client = tls_handshake(context, ports, held)
    answer_second_path(client, ports, held)
    finish_handshake(client, held)
