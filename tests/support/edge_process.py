"""A real `sennit edge` on loopback, and an origin for it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from free_ports import free_port

from node.state.catalogue import EDGE_SOCKET
from node.state.identity import NodeIdentity, write_identity
from node.vip import Vip


@dataclass
class EdgeProcess:
    """`port` is the service port, the one after it the locator of edge 1."""

    process: asyncio.subprocess.Process
    port: int
    log: Path
    state: Path

    async def health(self) -> dict[str, object]:
        reader, writer = await asyncio.open_unix_connection(EDGE_SOCKET.path_in(self.state))
        writer.write(b"GET /health HTTP/1.1\r\nhost: edge\r\n\r\n")
        answer = await reader.read()
        writer.close()
        found: dict[str, object] = json.loads(answer.split(b"\r\n\r\n", 1)[1])
        return found

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            return await self.process.wait()


@asynccontextmanager
async def edge_process(folder: Path, *options: str, cwd: Path | None = None) -> AsyncIterator[EdgeProcess]:
    """Start it, wait until it is ready, and stop it at the end."""
    port = free_port(2)
    state = folder / "state"
    state.mkdir(exist_ok=True)
    vip = Vip("main", "127.0.0.1", None, port, id_port_base=port)
    write_identity(state, NodeIdentity(1, "edge1", vip))
    log = folder / "edge.log"
    arguments = ["edge", "--state", str(state), "--cache", str(folder / "cache"), *options]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("sennit")),
            *arguments,
            stderr=output,
            stdout=output,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    edge = EdgeProcess(process, port, log, state)
    try:
        async with asyncio.timeout(120):
            while "ready: edge" not in log.read_text():
                if process.returncode is not None:
                    raise RuntimeError(log.read_text())
                await asyncio.sleep(0.02)
        yield edge
    finally:
        await edge.stop()


@asynccontextmanager
async def origin(body: bytes = b"from the origin") -> AsyncIterator[tuple[str, list[bytes]]]:
    """An HTTP server; gives its URL and what it was asked."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return writer.close()
        if not request.startswith(b"HEAD / "):  # the edge's look whether we are there
            asked.append(request)
        head = b"HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        writer.write(head % len(body) + body)
        with contextlib.suppress(ConnectionError):  # the edge may take only a part
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()
