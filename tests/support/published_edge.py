"""A real edge on loopback with services as the agent hands them over, and clients of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edge_process import EdgeProcess, edge_process
from many_services import KEY, sign_generation

from node.state.catalogue import SERVICES
from node.state.table_key import pin_table_key
from services.published import PublishedService
from services.published_file import read_applied_services, store_services
from smkex.client import connect
from smkex.client.connection import Connection
from smkex.client.options import ConnectOptions

ALLOW_LOOPBACK = ("--origin-allow", "127.0.0.0/8")


async def open_session(edge: EdgeProcess) -> Connection:
    options = ConnectOptions(paths=["lo"], id_port_base=edge.port, allow_shared_path=True, known_hosts=None)
    return await connect("127.0.0.1", port=edge.port, options=options)


async def ask(connection: Connection, host: str, path: str = "/a") -> tuple[int, dict[str, str], bytes]:
    connection.writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    async with asyncio.timeout(
        60
    ):  # wait_for() of Python 3.11 loses a cancellation when the answer is just there
        head = await connection.reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await connection.reader.readexactly(int(fields["content-length"]))
    return int(lines[0].split()[1]), fields, body


def publish(state: Path, number: int, *services: PublishedService) -> None:
    SERVICES.create_folder(state)
    pin_table_key(state, KEY.public_key().public_bytes_raw())
    store_services(state, sign_generation(number, *services))


async def reach_generation(edge: EdgeProcess, number: int) -> None:
    """Wait until all workers have it, as the agent sees it."""
    async with asyncio.timeout(120):
        while True:
            try:
                if read_applied_services(edge.state).generation == number:
                    return
            except (OSError, ValueError):
                pass
            await asyncio.sleep(0.02)


@asynccontextmanager
async def published_edge(folder: Path, first: PublishedService, *options: str) -> AsyncIterator[EdgeProcess]:
    """Run an edge whose generation 1 is one service."""
    state = folder / "state"
    publish(state, 1, first)
    async with edge_process(folder, *ALLOW_LOOPBACK, *options) as edge:
        await reach_generation(edge, 1)
        yield edge
