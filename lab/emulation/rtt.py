"""Round trips over a link, measured from one of its ends: ICMP echo, several on their way at once."""

import os
import select
import socket
import statistics
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from lab.emulation.tap import inside_namespace
from lab.errors import LabFailed

ECHO_REQUEST, ECHO_REPLY = 8, 0
GAP = 0.02  # seconds between two requests
PATIENCE = 2.0  # seconds beyond the last request


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """In seconds: median, and the quartiles around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median * 1000:.2f} ms ({self.low * 1000:.2f} to {self.high * 1000:.2f})"


def measure(namespace: Path, interface: str, address: str, count: int = 25) -> RoundTrips:
    """Ask `address` through `interface` `count` times. Raises `LabFailed` when most go unanswered."""
    with inside_namespace(namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.connect((address, 0))
        _measure_echoes(sock, 1)  # the neighbour's address is found before it counts
        times = _measure_echoes(sock, count)
    if len(times) < max(3, count // 2):
        raise LabFailed(f"{address} by {interface}: {len(times)} of {count} echo requests were answered")
    low, median, high = statistics.quantiles(times, n=4)
    return RoundTrips(median, low, high)


def _measure_echoes(sock: socket.socket, count: int) -> list[float]:
    identifier = int.from_bytes(os.urandom(2))
    sent: dict[int, float] = {}
    times: list[float] = []
    next_at = time.monotonic()
    until = next_at + count * GAP + PATIENCE
    while len(times) < count and (now := time.monotonic()) < until:
        if len(sent) < count and now >= next_at:
            number = len(sent)
            next_at += GAP
            sent[number] = time.monotonic()
            sock.send(_echo_request(identifier, number))
        wait = (next_at if len(sent) < count else until) - time.monotonic()
        if not select.select([sock], [], [], max(0.0, wait))[0]:
            continue
        answer = sock.recv(2048)
        came = time.monotonic()
        kind, _, _, who, number = struct.unpack_from("!BBHHH", answer, (answer[0] & 15) * 4)
        if kind == ECHO_REPLY and who == identifier and number in sent:
            times.append(came - sent[number])
    return times


def _echo_request(identifier: int, number: int) -> bytes:
    ones = (ECHO_REQUEST << 8) + identifier + number
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, ~(ones % 0xFFFF) & 0xFFFF, identifier, number)
