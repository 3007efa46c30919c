"""A captured program and a service of kind tcp: much data both ways at once, and each direction ends by itself.

SENNIT_LONG_BYTES is the size of each direction.
"""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest
from capture_service import CaptureService

from lab.topology import SERVICE_NAME

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

SIZE = int(os.environ.get("SENNIT_LONG_BYTES", 48 << 20))
TIMEOUT = 60 + SIZE / 2e6  # seconds
BULK = f"bulk.{SERVICE_NAME}"
# Both ends send SIZE bytes at once. The one that ends first still receives all, and the other sends the digest of what
# it has received, or prints it, when its own direction has ended.
BOTH = """
import hashlib, os, sys, threading
SIZE, BLOCK = int(sys.argv[1]), 1 << 20
def send(sock, stream):
    digest = hashlib.sha256()
    for number in range(SIZE // BLOCK):
        block = number.to_bytes(8, "big") + stream
        sock.sendall(block)
        digest.update(block)
    return digest.hexdigest()
def receive(sock, size):
    digest, left = hashlib.sha256(), size
    while left:
        data = sock.recv(min(left, 1 << 18))
        assert data, f"ended {left} bytes early"
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()
def exchange(sock):
    found = []
    receiving = threading.Thread(target=lambda: found.append(receive(sock, SIZE)))
    receiving.start()
    sent = send(sock, os.urandom(BLOCK - 8))
    receiving.join()
    return sent, found[0]
def read_end(sock):
    parts = []
    while data := sock.recv(1 << 16):
        parts.append(data)
    return b"".join(parts).decode()
"""
SERVER = (
    BOTH
    + """
import json, socket
server = socket.create_server(("0.0.0.0", 7000))
print("ready", flush=True)
while True:
    sock, _ = server.accept()
    first = sock.recv(1)
    sent, received = exchange(sock)
    if first == b"c":  # the client ends its direction: after that this one's still goes on
        ended = read_end(sock)
        sock.sendall(json.dumps([sent, received, ended]).encode())
        sock.shutdown(socket.SHUT_WR)
    else:  # this direction ends: the client's still goes on
        sock.sendall(sent.encode())
        sock.shutdown(socket.SHUT_WR)
        print(json.dumps([received, read_end(sock)]), flush=True)
    sock.close()
"""
)
CLIENT = (
    BOTH
    + """
import json, socket
first = sys.argv[2]
sock = socket.create_connection(("bulk.cdn.lab", 7), 20)
sock.settimeout(None)
sock.sendall(first.encode())
sent, received = exchange(sock)
if first == "c":
    sock.sendall(b"the end")
    sock.shutdown(socket.SHUT_WR)
    print(json.dumps([sent, received, json.loads(read_end(sock))]))
else:
    reported = read_end(sock)
    sock.sendall(b"still here")
    sock.shutdown(socket.SHUT_WR)
    print(json.dumps([sent, received, reported]))
"""
)


@pytest.fixture(scope="module")
def server(captured: CaptureService) -> Iterator["subprocess.Popen[str]"]:
    command = captured.lab.command("origin", "python", "-c", SERVER, str(SIZE))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.terminate()


def run_client(captured: CaptureService, first: str) -> list[object]:
    done = captured.run_captured("python", "-c", CLIENT, str(SIZE), first, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_the_client_ends_first(captured: CaptureService, server: "subprocess.Popen[str]") -> None:
    sent, received, (far_sent, far_received, ended) = run_client(captured, "c")  # type: ignore[misc]
    assert (sent, received) == (far_received, far_sent)
    assert ended == "the end"


def test_the_service_ends_first(captured: CaptureService, server: "subprocess.Popen[str]") -> None:
    sent, received, far_sent = run_client(captured, "s")
    assert received == far_sent
    assert server.stdout is not None
    assert json.loads(server.stdout.readline()) == [sent, "still here"]
