"""The client of the figures, on the phone: `python -m lab.figures.phone`, started by `stage`.

It runs through a whole figure, so that starting Python and loading libraries is not measured. Standard input brings
one task a line, as JSON; standard output gives one result a line.
"""

import argparse
import asyncio
import json
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

from lab.figures.peer import BLOCK, DIFFIE_HELLMAN, GREETING, RAW, TLS, exchange
from smkex.client.connect import connect
from smkex.client.connection import Connection
from smkex.client.edge_cache import EdgeCache
from smkex.client.options import ConnectOptions
from smkex.core.errors import SmkexError
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.wire.locator import SERVICE_PORT
from smkex.core.wire.messages import Mode
from smkex.transport.mptcp.connect import ClientConnection, connect_mptcp
from smkex.transport.routes.target import Target

CHUNK = 256 << 10
TIMEOUT = 60.0
HOST = "cdn.lab"
PAUSE = 0.01  # seconds without a byte, both ends of which a trace keeps


class Delivery:
    """What has been delivered: how many bytes by when (monotonic, seconds), and whether they were the right ones."""

    def __init__(self, check: bool) -> None:
        self.trace = [(time.monotonic(), 0)]
        self.right = True
        self._expected = BLOCK * 2 if check else b""

    def add(self, part: bytes | memoryview) -> None:
        before = self.trace[-1][1]
        if self._expected:
            at = before % len(BLOCK)
            self.right = self.right and part == self._expected[at : at + len(part)]
        self.trace.append((time.monotonic(), before + len(part)))


class Phone:
    """What can be measured, by the names that `do` gives in a task."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._vip = options.vip
        self._peer = options.peer
        self._paths: list[str] = options.path
        self._tls = ssl.create_default_context(cafile=options.ca)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self._cache = EdgeCache(time.monotonic)

    # --- set-up, in seconds

    def setup_dh(self) -> float:
        started = time.perf_counter()
        with self._dial(DIFFIE_HELLMAN) as sock:
            exchange(sock)
            return time.perf_counter() - started

    def setup_tls(self) -> float:
        started = time.perf_counter()
        with self._dial(TLS) as sock, self._protect(sock):
            return time.perf_counter() - started

    async def setup_smkex(self, transport: str, cached: bool = False) -> float:
        started = time.perf_counter()
        connection = await self._connect(transport, cached)
        took = time.perf_counter() - started
        await connection.close()
        return took

    # --- the whole of a download, in seconds

    async def fetch(self, size: int, transport: str = "tcp", cached: bool = False) -> dict[str, Any]:
        """From nothing to the last byte: names of the parts as they are drawn."""
        started = time.perf_counter()
        connection = await self._connect(transport, cached)
        setup = time.perf_counter() - started
        async for _ in self._body(connection, size):
            pass
        took = time.perf_counter() - started
        owner = connection.session.established.edge_id
        await connection.close()
        return {"setup": setup, "total": took, "owner": owner}

    def fetch_tls(self, size: int) -> dict[str, Any]:
        started = time.perf_counter()
        with self._dial(TLS) as sock, self._protect(sock) as protected:
            setup = time.perf_counter() - started
            _read_delivery(protected, size)
            return {"setup": setup, "total": time.perf_counter() - started}

    # --- bulk

    async def bulk(self, contender: str, size: int, check: bool = False, points: int = 100) -> dict[str, Any]:
        """Deliver `size` bytes, or as many as come; `error` is what ended it otherwise. Connecting is not in it.

        `trace` is when how much had been delivered, in about so many points.
        """
        delivery: Delivery | None = None
        error, states = "", []

        def begin() -> Delivery:
            nonlocal delivery
            delivery = Delivery(check)
            return delivery

        try:
            if contender.startswith("smkex"):
                states = await self._bulk_smkex(contender, size, begin)
            else:
                await self._bulk_peer(contender, size, begin)
        except (SmkexError, OSError) as failure:
            if delivery is None:
                raise
            error = f"{type(failure).__name__}: {failure}"
        assert delivery is not None
        trace = _thin_trace(delivery.trace, points)
        return {"trace": trace, "right": delivery.right, "error": error, "states": states}

    async def _bulk_smkex(self, contender: str, size: int, begin: Callable[[], Delivery]) -> list[str]:
        transport, _, scheduler = contender.removeprefix("smkex-").partition("-")
        connection = await self._connect(transport, False, scheduler)
        delivery = begin()
        async for part in self._body(connection, size):
            delivery.add(part)
        states = [path.state for path in connection.report().paths]
        await connection.close()
        return states

    async def _bulk_peer(self, contender: str, size: int, begin: Callable[[], Delivery]) -> None:
        port = TLS if contender.startswith("tls") else RAW
        many: ClientConnection | None = None
        if contender.endswith("-tcp"):
            sock = self._dial(port)
        else:
            many = await connect_mptcp(self._peer, port, self._paths)
            await many.receive_exactly(0, len(GREETING))
            await many.join(self._peer, port)
            # as sessions over mptcp do: the first path, and the other for when it fails
            sock = await many.release()
            sock.settimeout(TIMEOUT)
        try:
            with sock:
                await asyncio.to_thread(self._read_bulk, sock, port == TLS, size, begin)
        finally:
            if many is not None:
                many.close()

    def _read_bulk(self, sock: socket.socket, tls: bool, size: int, begin: Callable[[], Delivery]) -> None:
        if tls:
            with self._protect(sock) as protected:
                _read_delivery(protected, size, begin())
        else:
            _read_delivery(sock, size, begin())

    # --- inside

    async def _connect(self, transport: str, cached: bool, scheduler: str = "") -> Connection:
        return await connect(
            self._vip,
            options=ConnectOptions(
                paths=self._paths,
                transport=transport,
                mode=Mode.OPPORTUNISTIC,
                known_hosts=None,
                cache=self._cache if cached else None,
                scheduler=Scheduler[scheduler.upper().replace("-", "_")]
                if scheduler
                else Scheduler.LOWEST_LATENCY,
                timeout=TIMEOUT,
            ),
        )

    async def know_edge(self) -> bool:
        """Have the owner's id in the cache."""
        await self.setup_smkex("tcp", cached=True)
        target = Target(ip_address(self._vip), SERVICE_PORT)
        return self._cache.get(target, (self._paths[0], self._paths[1])) is not None

    async def _body(self, connection: Connection, size: int) -> AsyncIterator[bytes]:
        async with _request_target(connection, f"/figure-{size}.bin"):
            left = size
            while left:
                part = await asyncio.wait_for(connection.reader.read(CHUNK), TIMEOUT)
                if not part:
                    raise ConnectionError(f"ended {left} bytes early")
                left -= len(part)
                yield part

    def _dial(self, port: int) -> socket.socket:
        sock = socket.socket()
        sock.settimeout(TIMEOUT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._paths[0].encode())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((self._peer, port))
        return sock

    def _protect(self, sock: socket.socket) -> ssl.SSLSocket:
        return self._tls.wrap_socket(sock, server_hostname=HOST)


@asynccontextmanager
async def _request_target(connection: Connection, target: str) -> AsyncIterator[None]:
    """Ask by HTTP/1.1 and read the head."""
    connection.writer.write(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), TIMEOUT)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(f"{target}: {head.splitlines()[0].decode()}")
    yield


def _read_delivery(sock: socket.socket, size: int, delivery: Delivery | None = None) -> None:
    sock.sendall(size.to_bytes(8))
    left, buffer = size, memoryview(bytearray(CHUNK))
    while left:
        part = sock.recv_into(buffer)
        if not part:
            raise ConnectionError(f"ended {left} bytes early")
        left -= part
        if delivery is not None:
            delivery.add(buffer[:part])


def _thin_trace(trace: list[tuple[float, int]], most: int) -> list[tuple[float, int]]:
    """Not more points than a figure shows, but both sides of every pause."""
    step = (trace[-1][0] - trace[0][0]) / most
    if len(trace) <= most or not step:
        return trace
    kept = [trace[0]]
    for before, point in pairwise(trace):
        if point[0] - kept[-1][0] >= step:
            if before is not kept[-1] and point[0] - before[0] >= PAUSE:
                kept.append(before)
            kept.append(point)
    return [*kept, trace[-1]] if kept[-1] is not trace[-1] else kept


async def _serve(phone: Phone) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        task = json.loads(line)
        do: Callable[..., Any] = getattr(phone, task.pop("do"))
        try:
            result = do(**task)
            answer = {"result": await result if asyncio.iscoroutine(result) else result}
        except (SmkexError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--vip", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--path", action="append", required=True)
    asyncio.run(_serve(Phone(parser.parse_args())))


if __name__ == "__main__":
    main()
