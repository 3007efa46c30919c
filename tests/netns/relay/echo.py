"""Without arguments: answer with the peer's address on many ports. With some: ask there, and print the answer as JSON.

echo.py INTERFACE ADDRESS PORT tcp|udp [SOURCE]
"""

import errno
import json
import socket
import sys
import threading

ADDRESSES = ("203.0.113.1", "2001:db8:5e::1", "198.51.100.53", "198.51.100.9", "2001:db8:99::9", "10.2.0.2")
PORTS = (22, 53, 80, 443, 10001)


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def answer_streams(server: socket.socket) -> None:
    while True:
        connection, peer = server.accept()
        connection.sendall(peer[0].encode())
        connection.close()


def answer_datagrams(server: socket.socket) -> None:
    while True:
        _, peer = server.recvfrom(64)
        server.sendto(peer[0].encode(), peer)


def serve() -> None:
    for address in ADDRESSES:
        for port in PORTS:
            streams = socket.create_server((address, port), family=family_of(address))
            datagrams = socket.socket(family_of(address), socket.SOCK_DGRAM)
            datagrams.bind((address, port))
            threading.Thread(target=answer_streams, args=(streams,)).start()
            threading.Thread(target=answer_datagrams, args=(datagrams,)).start()
    print("ready", flush=True)


def ask(interface: str, address: str, port: int, kind: str, source: str = "") -> str:
    sock = socket.socket(family_of(address), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    sock.settimeout(3)
    if source:
        sock.bind((source, 0))
    try:
        sock.connect((address, port))
        if kind == "udp":
            sock.send(b"?")
        return sock.recv(64).decode()
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode[error.errno or 0]


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            serve()
        case [interface, address, port, kind, *source]:
            print(json.dumps(ask(interface, address, int(port), kind, *source)))
