"""A program of unusual socket calls: HOST PORT SOURCE, where a `stream_service` is; prints what each found as JSON.

SOURCE is an address of this host. Only the standard library is used: any user's Python runs it.
"""

import errno
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable

TIMEOUT = 20.0  # seconds
FASTOPEN_CONNECT = 30  # TCP_FASTOPEN_CONNECT
BIND_ADDRESS_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT
ZEROCOPY, SEND_ZEROCOPY = 60, 0x4000000  # SO_ZEROCOPY, MSG_ZEROCOPY
ADDRESS_FORM = 1  # IPV6_ADDRFORM

Address = tuple[str, int]
Call = Callable[[Address], object]
CALLS: dict[str, Call] = {}


def call(function: Call) -> Call:
    CALLS[function.__name__] = function
    return function


def stream(family: int = socket.AF_INET) -> socket.socket:
    sock = socket.socket(family)
    sock.settimeout(TIMEOUT)
    return sock


def read_all(sock: socket.socket) -> str:
    received = b""
    try:
        while data := sock.recv(1 << 16):
            received += data
    except OSError as error:
        return f"{len(received)} bytes, {errno.errorcode[error.errno or 0]}"
    return received.decode() if len(received) < 100 else f"{len(received)} bytes"


def echo(sock: socket.socket) -> str:
    sock.settimeout(TIMEOUT)
    sock.sendall(b"echo\nhello")
    sock.shutdown(socket.SHUT_WR)
    return read_all(sock)


def is_peer(sock: socket.socket, at: Address) -> bool:
    return bool(sock.getpeername()[:2] == at)


@call
def nonblocking_and_poll(at: Address) -> object:
    sock = stream()
    sock.setblocking(False)
    begun = errno.errorcode[sock.connect_ex(at)]
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    poll.poll(TIMEOUT * 1000)
    failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    again = [sock.connect_ex(at) for _ in range(2)]
    return begun, failed, is_peer(sock, at), again, echo(sock)


@call
def edge_triggered_epoll_sees_the_end(at: Address) -> object:
    sock = stream()
    sock.connect(at)
    sock.setblocking(False)
    epoll = select.epoll()
    epoll.register(sock, select.EPOLLIN | select.EPOLLET | select.EPOLLRDHUP)
    sock.send(b"send 5\n")
    seen, deadline = 0, time.monotonic() + TIMEOUT
    while not seen & select.EPOLLRDHUP and time.monotonic() < deadline:
        seen |= sum(events for _, events in epoll.poll(1))
    return bool(seen & select.EPOLLRDHUP), read_all(sock)


@call
def bound_port_used_twice(at: Address) -> object:
    found, port = [], 0
    for _ in range(2):
        with stream() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", port))
            sock.connect(at)
            port = port or sock.getsockname()[1]
            found.append((sock.getsockname()[1] == port, echo(sock)))
    return found


@call
def bound_source_address(at: Address) -> object:
    source, sock = sys.argv[3], stream()
    sock.setsockopt(socket.SOL_IP, BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))
    sock.connect(at)
    return sock.getsockname()[0] == source, echo(sock)


@call
def fast_open_by_sendto(at: Address) -> object:
    sock = socket.socket()
    sent = sock.sendto(b"echo\nhello", socket.MSG_FASTOPEN, at)
    peer = is_peer(sock, at)
    sock.shutdown(socket.SHUT_WR)
    return sent, peer, read_all(sock)


@call
def fast_open_by_connect(at: Address) -> object:
    sock = stream()
    sock.setsockopt(socket.SOL_TCP, FASTOPEN_CONNECT, 1)
    sock.connect(at)
    return echo(sock)


@call
def mapped_address_turned_into_ipv4(at: Address) -> object:
    sock = stream(socket.AF_INET6)
    sock.connect((f"::ffff:{at[0]}", at[1]))
    mapped = sock.getpeername()[0]
    sock.setsockopt(socket.IPPROTO_IPV6, ADDRESS_FORM, socket.AF_INET)
    with socket.socket(fileno=sock.detach()) as turned:
        return mapped == f"::ffff:{at[0]}", is_peer(turned, at), echo(turned)


@call
def passed_to_another_process(at: Address) -> object:
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        (descriptor,) = socket.recv_fds(theirs, 1, 1)[1]
        with socket.socket(fileno=descriptor) as taken:
            theirs.sendall(json.dumps([is_peer(taken, at), echo(taken)]).encode())
        os._exit(0)
    with stream() as sock:
        sock.connect(at)
        socket.send_fds(ours, [b"x"], [sock.fileno()])
    found = json.loads(ours.recv(1000))
    os.wait()
    return found


@call
def used_by_parent_and_child(at: Address) -> object:
    sock = stream()
    sock.connect(at)
    if os.fork() == 0:
        sock.sendall(b"echo\nhello")
        os._exit(0)
    os.wait()
    sock.shutdown(socket.SHUT_WR)
    return read_all(sock)


@call
def disconnected_and_used_elsewhere(at: Address) -> object:
    import ctypes

    sock = stream()
    sock.connect(at)
    unspecified = struct.pack("H14x", socket.AF_UNSPEC)
    ctypes.CDLL(None).connect(sock.fileno(), unspecified, len(unspecified))
    with socket.create_server(("127.0.0.1", 0)) as own:
        sock.connect(own.getsockname())
        accepted, peer = own.accept()
        return is_peer(sock, own.getsockname()), accepted.getpeername() == peer == sock.getsockname()


@call
def own_listener(at: Address) -> object:
    with socket.create_server(("0.0.0.0", 0)) as own:
        sock = socket.create_connection(("127.0.0.1", own.getsockname()[1]), TIMEOUT)
        accepted, peer = own.accept()
        return (
            accepted.getpeername() == peer == sock.getsockname(),
            sock.getpeername() == accepted.getsockname(),
        )


@call
def each_direction_ends_alone(at: Address) -> object:
    ours, theirs = stream(), stream()
    ours.connect(at)
    ours.sendall(b"count\n" + bytes(3_000_000))
    ours.shutdown(socket.SHUT_WR)
    theirs.connect(at)
    theirs.sendall(b"send 100000\n")
    return read_all(ours), read_all(theirs)


@call
def reset_by_the_service(at: Address) -> object:
    sock = stream()
    sock.connect(at)
    sock.sendall(b"reset 1000\n")
    received = sock.recv(1000, socket.MSG_WAITALL)
    sock.sendall(b".")
    return len(received), read_all(sock)


@call
def zero_copy_and_sendfile(at: Address) -> object:
    sock = stream()
    sock.setsockopt(socket.SOL_SOCKET, ZEROCOPY, 1)
    sock.connect(at)
    sock.sendall(b"count\n")
    sock.settimeout(None)
    sent = sock.send(bytes(100_000), SEND_ZEROCOPY)
    with open(sys.executable, "rb") as file:
        sent += sock.sendfile(file, 0, 500_000)
    sock.shutdown(socket.SHUT_WR)
    return read_all(sock) == str(sent)


@call
def a_hundred_at_once(at: Address) -> object:
    sockets = [stream() for _ in range(100)]
    for sock in sockets:
        sock.connect(at)
        sock.sendall(b"echo\nx")
    return sum(sock.recv(1) == b"x" for sock in sockets)


@call
def short_ones_after_each_other(at: Address) -> object:
    answered = 0
    for _ in range(100):
        with stream() as sock:
            sock.connect(at)
            answered += echo(sock) == "hello"
    return answered


@call
def datagrams(at: Address) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return [outcome(lambda: sock.connect(at)), outcome(lambda: sock.sendto(b"x", at))]


@call
def other_protocols(at: Address) -> object:
    udp_lite = (socket.AF_INET, socket.SOCK_DGRAM, 136)
    mptcp = (socket.AF_INET6, socket.SOCK_STREAM, 262)
    return [outcome(lambda which=which: socket.socket(*which).close()) for which in (udp_lite, mptcp)]


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "went"


def make_calls(host: str, port: int) -> dict[str, object]:
    at = (socket.gethostbyname(host), port)
    found: dict[str, object] = {}
    for name, function in CALLS.items():
        try:
            found[name] = function(at)
        except OSError as error:
            found[name] = repr(error)
    return found


if __name__ == "__main__":
    print(json.dumps(make_calls(sys.argv[1], int(sys.argv[2]))))
