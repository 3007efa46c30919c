"""Carry bytes from one socket to another."""

import socket
import threading


def carry(source: socket.socket, sink: socket.socket, size: int = 8 << 20) -> None:
    """Send `size` bytes from one end, and read them all at the other."""
    sender = threading.Thread(target=source.sendall, args=(bytes(size),))
    sender.start()
    received = 0
    while received < size:
        part = sink.recv(1 << 18)
        assert part, f"the connection ended after {received} of {size} bytes"
        received += len(part)
    sender.join()
