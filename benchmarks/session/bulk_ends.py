"""Ends of the bulk benchmark: `server ADDRESS SIZE`, and `library` and `program` ADDRESS PORT DIRECTION SIZE.

The client's first byte says the direction: `d` down, `u` up; the server answers `u` with a byte once it has all.
"""

import json
import socket
import sys
import time
from contextlib import closing

import smkex
from smkex.transport.event_loop import run_in_reactor

BLOCK = 256 << 10
CONTENT = bytes(BLOCK)


async def serve_bulk(address: str, size: int) -> None:
    """Print the port, and serve; second subflows have the next port."""

    async def serve_session(connection: smkex.AcceptedConnection) -> None:
        if await connection.reader.readexactly(1) == b"d":
            for _ in range(size // BLOCK):
                connection.writer.write(CONTENT)
                await connection.writer.drain()
        else:
            left = size
            while left:
                left -= len(await connection.reader.read(BLOCK))
            connection.writer.write(b".")
        connection.writer.write_eof()
        await connection.reader.read()

    port = _two_ports(address)
    server = await smkex.start_server(
        serve_session, address, port, options=smkex.ServerOptions(id_port_base=port, require_both=True)
    )
    async with server:
        print(port, flush=True)
        await server.serve_forever()


async def time_library(address: str, port: int, direction: str, size: int) -> float:
    options = smkex.ConnectOptions(paths=["lo"], id_port_base=port, allow_shared_path=True, known_hosts=None)
    connection = await smkex.connect(address, port=port, options=options)
    connection.writer.write(direction[:1].encode())
    started = 0.0
    if direction == "down":
        left = size
        while left:
            left -= len(await connection.reader.read(BLOCK))
            started = started or time.perf_counter()
    else:
        started = time.perf_counter()
        for _ in range(size // BLOCK):
            connection.writer.write(CONTENT)
            await connection.writer.drain()
        await connection.reader.readexactly(1)
    rate = size / (time.perf_counter() - started) / 1e9
    await connection.close()
    return rate


def time_program(address: str, direction: str, size: int) -> float:
    """Use a plain socket; any port of a captured address leads to the service port."""
    with closing(socket.create_connection((address, 7), 20)) as sock:
        sock.sendall(direction[:1].encode())
        started = 0.0
        if direction == "down":
            into = memoryview(bytearray(BLOCK))
            left = size
            while left:
                left -= sock.recv_into(into)
                started = started or time.perf_counter()
        else:
            started = time.perf_counter()
            for _ in range(size // BLOCK):
                sock.sendall(CONTENT)
            sock.recv(1)
        return size / (time.perf_counter() - started) / 1e9


def _two_ports(address: str) -> int:
    """Return a free port whose successor is free too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind((address, 0))
            port: int = first.getsockname()[1]
            try:
                second.bind((address, port + 1))
            except (OSError, OverflowError):
                continue
            return port


def main(end: str, address: str, *words: str) -> int:
    if end == "server":
        run_in_reactor(serve_bulk(address, int(words[0])))
        return 0
    port, direction, size = int(words[0]), words[1], int(words[2])
    if end == "library":
        rate = run_in_reactor(time_library(address, port, direction, size))
    else:
        rate = time_program(address, direction, size)
    print(json.dumps({"rate": rate}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
