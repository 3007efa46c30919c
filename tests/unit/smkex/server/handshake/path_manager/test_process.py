"""The path manager process: each request acts on the connection whose socket it carries, and on no other."""

import errno
import socket
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from smkex.server.handshake.path_manager import process
from smkex.server.handshake.path_manager.messages import RESPONSE_SIZE, Operation, Request, Response
from smkex.server.handshake.path_manager.process import PathManager
from smkex.transport.mptcp.info import ConnectionInfo, FourTuple, SubflowInfo
from smkex.transport.mptcp.path_manager import MptcpNetlink
from smkex.transport.mptcp.subflow_diag import SubflowDiag, SubflowState

VIP = "203.0.113.1"
OWN = FourTuple(VIP, 443, "192.0.2.1", 1000)
JOINED = FourTuple(VIP, 10001, "192.0.2.2", 1001)
OTHERS = FourTuple(VIP, 443, "198.51.100.1", 2000)
ELSEWHERE = FourTuple("10.0.0.1", 443, "192.0.2.1", 1000)
TOKEN = 77


class Kernel:
    """Netlink and sock_diag that record what they are asked for."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self._events, self._other = socket.socketpair()

    def events_fileno(self) -> int:
        return self._events.fileno()

    def announce(self, token: int, address: str, port: int, *, address_id: int) -> None:
        self.done.append(("announce", token, address, port))

    def set_backup(self, token: int, addresses: FourTuple, backup: bool) -> None:
        self.done.append(("backup", token, addresses, backup))

    def inspect(self, addresses: FourTuple) -> SubflowState:
        self.done.append(("inspect", addresses))
        return SubflowState(True, False, True, 0x5E000002)


class Running:
    """A path manager with two clients, in a thread."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        self.clients = [ours for ours, _ in pairs]
        manager = PathManager(
            frozenset({VIP}), cast(MptcpNetlink, self.kernel), cast(SubflowDiag, self.kernel)
        )
        self._thread = threading.Thread(
            target=manager.serve_channels, args=([theirs for _, theirs in pairs],)
        )
        self._thread.start()

    def ask(
        self, operation: int, addresses: FourTuple, connection: socket.socket | None, client: int = 0
    ) -> Response:
        raw = Request(9, operation, addresses, backup=True).encode()
        channel = self.clients[client]
        channel.settimeout(5)
        socket.send_fds(channel, [raw], [connection.fileno()] if connection else [])
        return Response.decode(channel.recv(RESPONSE_SIZE))

    def stop(self) -> None:
        for client in self.clients:
            client.close()
        self._thread.join(5)
        assert not self._thread.is_alive(), "it ends with its last client"


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.stop()


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket that the kernel calls an MPTCP connection with two subflows."""
    subflows = tuple(SubflowInfo(each, 1, 0, 0, 0, 0, 0, 0) for each in (OWN, JOINED))
    monkeypatch.setattr(process, "connection_info", lambda sock: ConnectionInfo(TOKEN, False, subflows))
    with socket.socket() as made:
        yield made


def test_the_token_is_read_from_the_socket(running: Running, connection: socket.socket) -> None:
    assert running.ask(Operation.ANNOUNCE, OWN, connection).error == 0
    assert running.ask(Operation.SET_BACKUP, JOINED, connection).error == 0
    state = running.ask(Operation.INSPECT, JOINED, connection, client=1).state
    assert state == SubflowState(True, False, True, 0x5E000002)
    assert running.kernel.done == [
        ("announce", TOKEN, VIP, 443),
        ("backup", TOKEN, JOINED, True),
        ("inspect", JOINED),
    ]


@pytest.mark.parametrize(
    ("operation", "addresses", "error"),
    [
        (Operation.SET_BACKUP, OTHERS, errno.ENOENT),
        (Operation.INSPECT, OTHERS, errno.ENOENT),
        (Operation.ANNOUNCE, ELSEWHERE, errno.EPERM),
        (Operation.SET_BACKUP, ELSEWHERE, errno.EPERM),
        (0, OWN, errno.EINVAL),
        (4, OWN, errno.EINVAL),
    ],
)
def test_nothing_else_is_steered(
    running: Running, connection: socket.socket, operation: int, addresses: FourTuple, error: int
) -> None:
    assert running.ask(operation, addresses, connection).error == error
    assert running.kernel.done == []


@pytest.mark.parametrize("operation", list(Operation))
def test_a_request_without_the_connection_is_refused(running: Running, operation: Operation) -> None:
    with socket.socket() as plain:
        assert running.ask(operation, OWN, plain).error == errno.EPERM
    with open("/dev/null", "rb") as file:
        assert running.ask(operation, OWN, cast(socket.socket, file)).error == errno.ENOTSOCK
    assert running.ask(operation, OWN, None).error == errno.EPERM
    assert running.kernel.done == []


def test_a_client_that_does_not_read_delays_no_other_and_is_served_later(
    running: Running, connection: socket.socket
) -> None:
    deaf, _ = running.clients
    deaf.setblocking(False)
    request = Request(1, Operation.INSPECT, OWN).encode()
    sent = 0
    while True:
        try:
            socket.send_fds(deaf, [request], [connection.fileno()])
        except OSError:  # its channel, or the descriptors that may be in flight, are used up
            break
        sent += 1
    assert running.ask(Operation.INSPECT, OWN, connection, client=1).error == 0
    deaf.settimeout(5)
    for _ in range(sent):
        assert Response.decode(deaf.recv(RESPONSE_SIZE)).error == 0
