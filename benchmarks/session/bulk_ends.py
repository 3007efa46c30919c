"""Ends of the bulk benchmark: `server` and `plain` ADDRESS SIZE, `library` and `program` ADDRESS PORT DIRECTION SIZE.

`library` gets the interfaces of its paths too, with commas between them.

The client's first byte says the direction: `d` down, `u` up; the server answers `u` with a byte once it has all. The
plain server serves it over TCP without a session, as the entrance of `sennit run` does.

Clients print GB/s, and processor seconds a GB of their own and of a `carrier`: the process that the program's
connection goes to, `sennit run` or the plain server.
"""

import json
import os
import socket
import sys
import time
from contextlib import closing

import smkex
from benchmarks.measurement.processors import processor_seconds
from runtime.heap import keep_freed_memory
from smkex.transport.event_loop import run_in_reactor

BLOCK = 256 << 10
CONTENT = bytes(BLOCK)


class Transfer:
    """Time, and processor time of this process and of `carrier`, from the first byte of `size` to the last."""

    def __init__(self, size: int, carrier: int) -> None:
        self._size = size
        self._processes = {"own": os.getpid(), "carrier": carrier}
        self._used: dict[str, float] = {}
        self._started = 0.0
        self.figures: dict[str, float] = {}

    def begin(self) -> None:
        """Begin, unless it has begun."""
        if not self._started:
            self._used = self._processor_times()
            self._started = time.perf_counter()

    def end(self) -> None:
        seconds = time.perf_counter() - self._started
        self.figures = {
            name: (used - self._used[name]) / self._size * 1e9
            for name, used in self._processor_times().items()
        }
        self.figures["rate"] = self._size / seconds / 1e9

    def _processor_times(self) -> dict[str, float]:
        return {name: processor_seconds(process) for name, process in self._processes.items()}


def serve_plain(address: str, size: int) -> None:
    """Print the port, and serve one connection after the other."""
    with socket.create_server((address, 0)) as server:
        print(server.getsockname()[1], flush=True)
        into = memoryview(bytearray(BLOCK))
        while True:
            connection, _ = server.accept()
            with connection:
                if connection.recv(1) == b"d":
                    for _ in range(size // BLOCK):
                        connection.sendall(CONTENT)
                else:
                    left = size
                    while left:
                        left -= connection.recv_into(into)
                    connection.sendall(b".")
                connection.recv(1)  # its end


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


async def time_library(address: str, port: int, direction: str, size: int, paths: list[str]) -> Transfer:
    shared = len(paths) == 1
    options = smkex.ConnectOptions(paths=paths, id_port_base=port, allow_shared_path=shared, known_hosts=None)
    connection = await smkex.connect(address, port=port, options=options)
    transfer = Transfer(size, os.getpid())
    connection.writer.write(direction[:1].encode())
    if direction == "down":
        left = size
        while left:
            left -= len(await connection.reader.read(BLOCK))
            transfer.begin()
    else:
        transfer.begin()
        for _ in range(size // BLOCK):
            connection.writer.write(CONTENT)
            await connection.writer.drain()
        await connection.reader.readexactly(1)
    transfer.end()
    await connection.close()
    return transfer


def time_program(address: str, port: int, direction: str, size: int, carrier: int) -> Transfer:
    """Use a plain socket; any port of a captured address leads to the service port."""
    with closing(socket.create_connection((address, port), 20)) as sock:
        transfer = Transfer(size, carrier)
        sock.sendall(direction[:1].encode())
        if direction == "down":
            into = memoryview(bytearray(BLOCK))
            left = size
            while left:
                left -= sock.recv_into(into)
                transfer.begin()
        else:
            transfer.begin()
            for _ in range(size // BLOCK):
                sock.sendall(CONTENT)
            sock.recv(1)
        transfer.end()
        return transfer


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
    keep_freed_memory()  # as an edge and the commands of a client do
    if end == "server":
        run_in_reactor(serve_bulk(address, int(words[0])))
        return 0
    if end == "plain":
        serve_plain(address, int(words[0]))
    port, direction, size = int(words[0]), words[1], int(words[2])
    if end == "library":
        transfer = run_in_reactor(time_library(address, port, direction, size, words[3].split(",")))
    else:
        transfer = time_program(address, port, direction, size, int(words[3]) if words[3:] else os.getppid())
    print(json.dumps(transfer.figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
