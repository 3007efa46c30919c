"""Ends of the relay's benchmark: `serve ADDRESS PORT`; `fetch|send INTERFACE ADDRESS PORT SECONDS` prints Gbit/s.

One TCP connection of plain bytes: the client's first says which way they go.
"""

import socket
import sys
import threading
import time

BLOCK = 1 << 20
SETTLE = 0.3  # seconds of each run that do not count: the connection's start


def serve(address: str, port: str) -> None:
    with socket.create_server((address, int(port))) as server:
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()


def serve_one(connection: socket.socket) -> None:
    with connection:
        try:
            if connection.recv(1) == b"f":
                while True:
                    connection.sendall(bytes(BLOCK))
            report_total(connection)
        except OSError:
            return


def report_total(connection: socket.socket) -> None:
    """Receive until the other end has ended, and send the number of bytes."""
    total, buffer = 0, bytearray(BLOCK)
    while size := connection.recv_into(buffer):
        total += size
    connection.sendall(total.to_bytes(8, "big"))


def measure(way: str, interface: str, address: str, port: str, seconds: str) -> float:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.connect((address, int(port)))
        sock.sendall(way[:1].encode())
        return fetch_bulk(sock, float(seconds)) if way == "fetch" else send_bulk(sock, float(seconds))


def fetch_bulk(sock: socket.socket, seconds: float) -> float:
    buffer, total = bytearray(BLOCK), 0
    begin = time.monotonic() + SETTLE
    while time.monotonic() < begin + seconds:
        size = sock.recv_into(buffer)
        if not size:
            raise ConnectionError("the connection ended")
        total += size if time.monotonic() >= begin else 0
    return total * 8 / seconds / 1e9


def send_bulk(sock: socket.socket, seconds: float) -> float:
    """Until all has arrived: what waits in buffers does not count as sent."""
    begin = time.monotonic()
    while time.monotonic() < begin + seconds:
        sock.sendall(bytes(BLOCK))
    sock.shutdown(socket.SHUT_WR)
    total = int.from_bytes(sock.recv(8, socket.MSG_WAITALL), "big")
    return total * 8 / (time.monotonic() - begin) / 1e9


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        print(measure(*sys.argv[1:]))
