"""What the contenders that are not ours talk to, on an edge's host: `python -m lab.figures.peer`, started by `stage`.

Three ports, each for plain TCP and for MPTCP: one X25519 exchange; as many bytes as are asked for; these over TLS 1.3.
"""

import argparse
import contextlib
import hashlib
import socket
import ssl
import sys
import threading
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from smkex.transport.mptcp.listen import mptcp_listener, speaks_mptcp

DIFFIE_HELLMAN, RAW, TLS = range(7801, 7804)
PATIENCE = 60.0  # seconds without a byte
SHARE = 32
GREETING = b"!"  # over MPTCP: a client cannot join before it has heard something
BLOCK = hashlib.shake_128(b"figures").digest(256 << 10)  # what all downloads of the figures repeat


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Raises `ConnectionError` when less comes."""
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise ConnectionError(f"closed after {len(data)} of {size} bytes")
        data += part
    return data


def exchange(sock: socket.socket) -> bytes:
    """Both ends do this: send a fresh share, receive the other's, compute."""
    private = X25519PrivateKey.generate()
    sock.sendall(private.public_key().public_bytes_raw())
    return private.exchange(X25519PublicKey.from_public_bytes(receive_exactly(sock, SHARE)))


def _send_bytes(sock: socket.socket) -> None:
    left = int.from_bytes(receive_exactly(sock, 8))
    while left:
        block = BLOCK[:left]
        sock.sendall(block)
        left -= len(block)


def _answer_exchange(sock: socket.socket) -> None:
    private = X25519PrivateKey.generate()
    theirs = receive_exactly(sock, SHARE)
    sock.sendall(private.public_key().public_bytes_raw())
    private.exchange(X25519PublicKey.from_public_bytes(theirs))


def _serve(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    listener.setblocking(True)
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=_serve_connection, args=(accepted, serve), daemon=True).start()


def _serve_connection(accepted: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    with contextlib.suppress(OSError), accepted:
        accepted.settimeout(PATIENCE)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if speaks_mptcp(accepted):
            accepted.sendall(GREETING)
        serve(accepted)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    options = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(options.certificate, options.key)

    def over_tls(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as protected:
            _send_bytes(protected)

    for port, serve in ((DIFFIE_HELLMAN, _answer_exchange), (RAW, _send_bytes), (TLS, over_tls)):
        listener = mptcp_listener(options.listen, port)
        threading.Thread(target=_serve, args=(listener, serve), daemon=True).start()
    print("ready", file=sys.stderr, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
