"""An HTTPS server of one file, for the comparison with TLS 1.3: honest at an edge, or forged on a path.

`python -m lab.attack.tls_server CERTIFICATE KEY FILE --listen ADDRESS:PORT [--transparent]`
"""

import argparse
import contextlib
import socket
import ssl
import sys
from pathlib import Path

from lab.attack.attacker import IP_TRANSPARENT


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.attack.tls_server")
    parser.add_argument("certificate")
    parser.add_argument("key")
    parser.add_argument("file", type=Path)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--transparent", action="store_true")
    options = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(options.certificate, options.key)
    body = options.file.read_bytes()
    address, _, port = options.listen.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.transparent:
            listener.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
        listener.bind((address, int(port)))
        listener.listen(16)
        print("ready", file=sys.stderr, flush=True)
        while True:
            accepted, _ = listener.accept()
            accepted.settimeout(5)
            with contextlib.suppress(OSError), context.wrap_socket(accepted, server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
                )
                connection.sendall(body)


if __name__ == "__main__":
    main()
