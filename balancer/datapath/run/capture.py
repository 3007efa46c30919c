"""`sennit forwarder capture`: copies of the packets of one reason, as pcap (draft-ietf-opsawg-pcap).

Dropped packets are captured as received, others as sent; the first 256 bytes of each. Packets that arrive faster than
they are read are lost; traffic is never delayed.
"""

import fcntl
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from balancer.datapath.maps.layout import CAPTURED
from balancer.datapath.maps.live_words import Live
from balancer.datapath.maps.pins import open_map
from balancer.datapath.maps.ring_buffer import PAGE, RingBuffer
from balancer.model.verdict import Reason

RING_RING_PAGES = 64  # of the ring buffer (datapath/c/maps.h)
READ_TIMEOUT = 0.2  # seconds between checks whether to stop
ETHERNET = 1  # LINKTYPE_ETHERNET
EMPTY_ETHERNET = bytes(12)
ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}


class CaptureRunning(Exception):
    """Another capture is running."""


@dataclass(frozen=True, slots=True)
class Captured:
    """The first bytes of a packet as an Ethernet frame, its Unix time and full length."""

    time: float
    length: int
    data: bytes


def capture(
    state: Path, bpffs: Path, reason: Reason, stopped: threading.Event, count: int | None
) -> Iterator[Captured]:
    """Start capturing; return the packets of one reason until stopped, at most `count`.

    Raises `pins.NotLoaded`, `CaptureRunning`.
    """
    lock = (state / "capture.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CaptureRunning("a capture is running: stop it first") from None
    live_map, captures = open_map(bpffs, "live_map"), open_map(bpffs, "captures")
    live = Live(live_map)
    live_map.close()
    buffer = RingBuffer(captures.descriptor, RING_RING_PAGES * PAGE)
    buffer.discard_unread()
    live.words.capture = reason + 1

    def packets() -> Iterator[Captured]:
        try:
            yield from _captured_packets(buffer, stopped, count)
        finally:
            live.words.capture = 0
            for held in (buffer, live, captures, lock):
                held.close()

    return packets()


def _captured_packets(buffer: RingBuffer, stopped: threading.Event, count: int | None) -> Iterator[Captured]:
    since_start = time.time() - time.monotonic()
    seen = 0
    while not stopped.is_set():
        for record in buffer.read(READ_TIMEOUT):
            when, _, length, kept, raw = CAPTURED.unpack_from(record)
            data = record[CAPTURED.size : CAPTURED.size + kept]
            if raw and data:  # prepend an empty Ethernet header
                data, length = EMPTY_ETHERNET + ETHERTYPES[data[0] >> 4] + data, length + 14
            yield Captured(since_start + when / 1e9, length, data)
            seen += 1
            if seen == count:
                return


def write_header(file: BinaryIO) -> None:
    """Write the header of a pcap file of Ethernet frames."""
    file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, ETHERNET))
    file.flush()


def write_packet(file: BinaryIO, packet: Captured) -> None:
    seconds = int(packet.time)
    micro = int((packet.time - seconds) * 1e6)
    file.write(struct.pack("=IIII", seconds, micro, len(packet.data), packet.length) + packet.data)
    file.flush()
