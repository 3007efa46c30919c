"""A TCP service whose clients say in their first line what it does: `echo`, `count`, `send N`, `reset N`, `watch`.

`python -m stream_service PORT` prints "ready", and then a line of JSON for each `count` and `watch`.
"""

import json
import socket
import struct
import sys
import threading


def serve_connection(sock: socket.socket) -> None:
    with sock:
        command = b""
        while not command.endswith(b"\n"):
            byte = sock.recv(1)
            if not byte:
                return
            command += byte
        name, *words = command.decode().split()
        if name == "echo":
            while data := sock.recv(1 << 16):
                sock.sendall(data)
        elif name == "count":
            size = 0
            while data := sock.recv(1 << 16):
                size += len(data)
            report_end("count", size)
            sock.sendall(str(size).encode())
        elif name == "send":
            sock.sendall(bytes(int(words[0])))
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):
                pass
        elif name == "reset":
            sock.sendall(bytes(int(words[0])))
            sock.recv(1)  # the client has all
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif name == "watch":
            sock.sendall(b"watching\n")
            try:
                report_end("watch", len(sock.recv(1)))
            except ConnectionResetError:
                report_end("watch", "reset")


def report_end(command: str, found: object) -> None:
    print(json.dumps([command, found]), flush=True)


def serve_quietly(sock: socket.socket) -> None:
    try:
        serve_connection(sock)
    except OSError:
        return  # the client has gone


def main(port: int) -> None:
    with socket.create_server(("0.0.0.0", port), backlog=1024) as server:
        print("ready", flush=True)
        while True:
            sock, _ = server.accept()
            threading.Thread(target=serve_quietly, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
