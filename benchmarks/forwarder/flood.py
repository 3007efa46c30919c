"""Send TCP segments with forged sources at a given rate.

`python -m benchmarks.forwarder.flood DEVICE MAC FLAGS PER-SECOND`
"""

import contextlib
import socket
import sys
import time

from balancer.model.reference.trace import PacketEndpoint, frame_of
from benchmarks.forwarder.network import LOCATOR, VIP

SOURCES = 4096
NO_PROTOCOL = 0  # in place of flags: frames of the same size that every host throws away
EXPERIMENTAL = b"\x88\xb5"  # IEEE 802's local experimental EtherType
BURST = 0.002  # seconds between two looks at the clock


def main(device: str, hardware: str, flags: int, pace: int) -> None:
    to = bytes.fromhex(hardware.replace(":", ""))
    target = PacketEndpoint.parse(f"{VIP}:{LOCATOR}")
    frames = [
        to + frame_of(PacketEndpoint.parse(f"198.51.{n >> 8}.{n & 255}:{1024 + n}"), target, flags)[6:]
        for n in range(SOURCES)
    ]
    if flags == NO_PROTOCOL:
        frames = [frame[:12] + EXPERIMENTAL + frame[14:] for frame in frames]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((device, 0))
        print("sending", flush=True)
        started, sent = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - started) * pace)
            for number in range(sent, due):
                with contextlib.suppress(OSError):  # the queue is full
                    raw.send(frames[number % SOURCES])
            sent = due
            time.sleep(BURST)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
