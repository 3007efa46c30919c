"""The Internet checksum (RFC 1071), and its incremental update (RFC 1624)."""

import struct


def fold_sum(data: bytes) -> int:
    """Return the folded sum of 16-bit words of data padded to an even length."""
    data += b"\0" * (len(data) % 2)
    added = int(sum(struct.unpack(f"!{len(data) // 2}H", data)))
    while added >> 16:
        added = (added & 0xFFFF) + (added >> 16)
    return added


def checksum(data: bytes) -> int:
    return ~fold_sum(data) & 0xFFFF


def update_checksum(check: int, was: int, now: int, *, odd: bool = False) -> int:
    """Update a checksum (RFC 1624, equation 3); bytes at an odd offset are swapped."""
    if odd:
        was, now = (((value & 0xFF) << 8) | value >> 8 for value in (was, now))
    added = (~check & 0xFFFF) + (~was & 0xFFFF) + now
    added = (added & 0xFFFF) + (added >> 16)
    return ~((added & 0xFFFF) + (added >> 16)) & 0xFFFF
