"""An attacker on the wire: changes one byte of TCP payload, once, and puts the checksum right (MPTCPsec section V)."""

import struct

from lab.emulation.tap import HEADER

ETHERNET = 14
IPV4, TCP = 0x0800, 6
NEEDS_CHECKSUM = 1  # flag of virtio_net_hdr: the sender on a wire computes the checksum
CHECKSUM_AT = 16  # in the TCP header
FLIPPED = 0xFF


def payload_at(frame: bytes) -> tuple[int, int] | None:
    """Where a frame's TCP payload begins and ends; None where there is none."""
    ip = HEADER + ETHERNET
    if len(frame) < ip + 40 or struct.unpack_from("!H", frame, ip - 2)[0] != IPV4 or frame[ip + 9] != TCP:
        return None
    tcp = ip + (frame[ip] & 15) * 4
    start = tcp + (frame[tcp + 12] >> 4) * 4
    end = min(ip + int(struct.unpack_from("!H", frame, ip + 2)[0]), len(frame))
    return (start, end) if start < end else None


def flip_byte(frame: bytes, at: int) -> bytes:
    """The frame with another byte at `at`, within its TCP payload."""
    changed = bytearray(frame)
    changed[at] ^= FLIPPED
    if not frame[0] & NEEDS_CHECKSUM:
        ip = HEADER + ETHERNET
        tcp = ip + (frame[ip] & 15) * 4
        # RFC 1624: HC' = ~(~HC + ~m + m'), for the word that holds the byte
        word = tcp + (at - tcp) // 2 * 2
        old, new = (bytes(data[word : word + 2]).ljust(2, b"\0") for data in (frame, changed))
        total = ~struct.unpack_from("!H", frame, tcp + CHECKSUM_AT)[0] & 0xFFFF
        total += (~int.from_bytes(old) & 0xFFFF) + int.from_bytes(new)
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into("!H", changed, tcp + CHECKSUM_AT, ~total & 0xFFFF)
    return bytes(changed)


class Tamperer:
    """Lets `after` bytes of payload pass, and changes the last byte of the segment that reaches them."""

    def __init__(self, after: int) -> None:
        self._left = after
        self.done = False

    def pass_on(self, frame: bytes) -> bytes:
        """The frame as it goes on."""
        if self.done or (found := payload_at(frame)) is None:
            return frame
        start, end = found
        self._left -= end - start
        if self._left > 0:
            return frame
        self.done = True
        return flip_byte(frame, end - 1)
