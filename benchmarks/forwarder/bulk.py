"""Bulk over one connection: by the forwarder, plain routes, policy routing into a kernel tunnel, haproxy; under floods.

All contenders cross the same three hosts. Sender and receiver are threads of this process, whose sockets are in the
namespaces: on few cores they share them with the work of every hop.
"""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from balancer.datapath.maps.counters import read_counters
from balancer.model.reference.packet import ACK, SYN
from balancer.model.verdict import Reason
from benchmarks.forwarder.flood import NO_PROTOCOL
from benchmarks.forwarder.network import (
    LOCATOR,
    PROXIED,
    ROUTED,
    TUNNELLED,
    VIP,
    ForwardingNetwork,
    forwarding_network,
)
from benchmarks.measurement.pairs import compare_pairs
from benchmarks.measurement.result import Measured

SECONDS = 0.7
PAIRS = 9
BLOCK = 1 << 20
FLOOD = 50_000  # packets a second
AS_DIRECT, UNDER_FLOOD = 0.95, 0.8  # of the one without the other
Address = tuple[str, int]
Ends = tuple[socket.socket, socket.socket]


def measure() -> list[Measured]:
    with forwarding_network() as made, contextlib.ExitStack() as stack:
        forwarded = stack.enter_context(_connected_ends(made, (VIP, LOCATOR)))
        peers: list[tuple[str, Ends, float | None]] = [
            ("plain routes", stack.enter_context(_connected_ends(made, (ROUTED, 443))), AS_DIRECT)
        ]
        if made.tunnel:
            name = f"policy routing into {made.tunnel}"
            peers.append((name, stack.enter_context(_connected_ends(made, (TUNNELLED, 443))), None))
        proxied = _connected_ends(made, (PROXIED, 443), at=(ROUTED, 8443))
        peers.append(("haproxy as TCP proxy", stack.enter_context(proxied), None))
        found: list[Measured] = []
        for peer_name, peer, target in peers:
            for way, pick in (("to the client", _towards_client), ("to the owner", _towards_owner)):
                name = f"forwarded bulk {way}, beside {peer_name}"
                ours, theirs = _rate_of(*pick(forwarded)), _rate_of(*pick(peer))
                found.append(
                    compare_pairs(
                        name, "Gbit/s", ours, peer_name, theirs, pairs=PAIRS, better="higher", target=target
                    )
                )
        return found + _under_floods(made, forwarded)


def _under_floods(made: ForwardingNetwork, forwarded: Ends) -> list[Measured]:
    """Beside no flood, and beside the same sender's frames of no protocol: what sending costs on this machine."""
    quiet = _rate_of(*_towards_client(forwarded))
    found: list[Measured] = []
    for name, flags, reason in (
        ("a SYN flood", SYN, Reason.DROP_SYN_BUDGET),
        ("a flood of unadmitted packets", ACK, Reason.DROP_NOT_ADMITTED),
    ):
        before, name = _count_reason(made, reason), f"transfer under {name}"
        flooded = _rate_under_flood(made, flags, quiet)
        for peer_name, peer, target in (
            ("no flood", quiet, UNDER_FLOOD),
            ("frames of no protocol", _rate_under_flood(made, NO_PROTOCOL, quiet), None),
        ):
            found.append(
                compare_pairs(
                    f"{name}, beside {peer_name}",
                    "Gbit/s",
                    flooded,
                    peer_name,
                    peer,
                    pairs=PAIRS,
                    better="higher",
                    target=target,
                )
            )
        if _count_reason(made, reason) == before:
            raise RuntimeError(f"{reason.name} did not count: that was no flood")
    return found


def _rate_under_flood(made: ForwardingNetwork, flags: int, rate: Callable[[], float]) -> Callable[[], float]:
    def run() -> float:
        with _running_flood(made, flags):
            return rate()

    return run


def _count_reason(made: ForwardingNetwork, reason: Reason) -> int:
    return read_counters(made.folder / "ingress" / "bpf")[reason][0]


def _towards_client(ends: Ends) -> Ends:
    return ends[1], ends[0]


def _towards_owner(ends: Ends) -> Ends:
    return ends


def _rate_of(source: socket.socket, sink: socket.socket) -> Callable[[], float]:
    return lambda: _carry_bulk(source, sink)


def _carry_bulk(source: socket.socket, sink: socket.socket) -> float:
    """Send zeros for a while, and at last a one; Gbit/s until that is received."""

    def send() -> None:
        data, until = bytes(BLOCK), time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            source.sendall(data)
        source.sendall(b"\1")

    sender = threading.Thread(target=send)
    received, last, buffer = 0, 0, bytearray(BLOCK)
    started = time.perf_counter()
    sender.start()
    while not last:
        size = sink.recv_into(buffer)
        if size == 0:
            raise ConnectionError("the connection ended")
        received, last = received + size, buffer[size - 1]
    seconds = time.perf_counter() - started
    sender.join()
    return received * 8 / seconds / 1e9


@contextlib.contextmanager
def _connected_ends(made: ForwardingNetwork, to: Address, at: Address | None = None) -> Iterator[Ends]:
    """A client's socket, and the owner's that listens there, or where a proxy goes."""
    with made.socket_in("owner") as listener, made.socket_in("client") as client:
        for end in (listener, client):
            with contextlib.suppress(
                OSError
            ):  # a host may allow no choice; then both contenders have its default
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        listener.bind(at or to)
        listener.listen()
        _connect(client, to)
        with listener.accept()[0] as served:
            served.settimeout(20)
            yield client, served


def _connect(client: socket.socket, to: Address) -> None:
    """Connect once there is a listener: a proxy may have started just now."""
    for _ in range(100):
        with contextlib.suppress(ConnectionRefusedError):
            client.connect(to)
            return
        time.sleep(0.05)
    raise TimeoutError(f"no listener at {to}")


@contextlib.contextmanager
def _running_flood(made: ForwardingNetwork, flags: int) -> Iterator[None]:
    words = ("fw0", made.hardware("ingress", "up0"), str(flags), str(FLOOD))
    command = [*made.enter("client"), sys.executable, "-m", "benchmarks.forwarder.flood", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
        try:
            if sender.stdout is None or sender.stdout.readline() != "sending\n":
                raise RuntimeError("the flood's sender did not start")
            yield
        finally:
            sender.kill()
