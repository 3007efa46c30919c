"""Clients in Python for the edge's benchmark, as a program: what the library's own client costs and is.

`python -m benchmarks.edge.load_client KIND WHAT PORT CONNECTIONS SECONDS`

KIND is `session` (SMKEX over two paths of loopback, with the hybrid), `classical` (the same, X25519 alone) or `tls`.
WHAT: `small` asks for 1 KB again and again on each connection, `large` downloads once, `handshake` connects again and
again, `idle` connects and waits for a line. Prints JSON.
"""

import asyncio
import json
import ssl
import statistics
import sys
import time
from typing import Any

from smkex.client import ConnectOptions, connect
from smkex.core.wire.named_group import DEFAULT_GROUPS, NamedGroup

Streams = tuple[asyncio.StreamReader, Any, Any]


async def open_one(kind: str, port: int) -> Streams:
    if kind != "tls":
        kex = (NamedGroup.X25519,) if kind == "classical" else DEFAULT_GROUPS
        made = await connect(
            "127.0.0.1",
            port=port,
            options=ConnectOptions(
                paths=["lo"],
                id_port_base=port,
                allow_shared_path=True,
                known_hosts=None,
                kex=kex,
                timeout=30,
            ),
        )
        return made.reader, made.writer, made
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=_tls_context(), ssl_handshake_timeout=30
    )
    return reader, writer, None


def _tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def abort_streams(streams: Streams) -> None:
    streams[1].transport.abort()


def request_bytes(path: str) -> bytes:
    return f"GET /{path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\naccept: */*\r\n\r\n".encode()


async def fetch_path(reader: asyncio.StreamReader, writer: Any, path: str) -> int:
    writer.write(request_bytes(path))
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    left = length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while left:
        left -= len(await reader.read(min(left, 1 << 20)))
    return length


async def load_small(kind: str, port: int, connections: int, seconds: float) -> dict[str, float]:
    opened = [await open_one(kind, port) for _ in range(connections)]
    await fetch_path(*opened[0][:2], "small")
    print("go", flush=True)
    until = time.perf_counter() + seconds
    times: list[float] = []

    async def work(streams: Streams) -> None:
        while (begun := time.perf_counter()) < until:
            await fetch_path(streams[0], streams[1], "small")
            times.append(time.perf_counter() - begun)

    await asyncio.gather(*map(work, opened))
    print("done", flush=True)
    for streams in opened:
        abort_streams(streams)
    return {"count": len(times), "median": statistics.median(times)}


async def load_large(kind: str, port: int, *_: Any) -> dict[str, float]:
    streams = await open_one(kind, port)
    await fetch_path(*streams[:2], "large")  # into the cache
    print("go", flush=True)
    begun, cpu = time.perf_counter(), time.process_time()
    size = await fetch_path(*streams[:2], "large")
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    print("done", flush=True)
    abort_streams(streams)
    return {"count": size, "median": seconds, "client_cpu": cpu}


async def handshake(kind: str, port: int, connections: int, seconds: float) -> dict[str, float]:
    abort_streams(await open_one(kind, port))
    print("go", flush=True)
    until = time.perf_counter() + seconds
    times: list[float] = []

    async def work() -> None:
        while (begun := time.perf_counter()) < until:
            streams = await open_one(kind, port)
            times.append(time.perf_counter() - begun)
            abort_streams(streams)

    await asyncio.gather(*(work() for _ in range(connections)))
    print("done", flush=True)
    return {"count": len(times), "median": statistics.median(times)}


async def load_idle(kind: str, port: int, connections: int, *_: Any) -> dict[str, float]:
    print("go", flush=True)
    opened = [await open_one(kind, port) for _ in range(connections)]
    for streams in opened:
        await fetch_path(*streams[:2], "small")
    print("done", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for streams in opened:
        abort_streams(streams)
    return {"count": connections, "median": 0.0}


def main(kind: str, what: str, port: str, connections: str, seconds: str) -> None:
    works = {"small": load_small, "large": load_large, "handshake": handshake, "idle": load_idle}
    print(json.dumps(asyncio.run(works[what](kind, int(port), int(connections), float(seconds)))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
