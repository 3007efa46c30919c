"""The MSS option of a SYN (RFC 9293 section 3.7.1), lowered so that full-size segments fit into the tunnel."""

import struct

from balancer.model.reference.checksum import update_checksum
from balancer.model.reference.packet import SYN, TCP, Packet, u16

MSS_TRIES = 6  # options parsed: common systems send the MSS first


def clamp_mss(packet: Packet, limit: int) -> bytes:
    """Lower the MSS option of a SYN and update the checksum; return the frame."""
    data, at = packet.data, packet.l4
    length = packet.tcp_header - TCP
    if not packet.flags & SYN or length < 4 or len(data) < at + TCP + length:
        return data
    options = data[at + TCP : at + TCP + length]
    place = 0
    for _ in range(MSS_TRIES):
        if place + 4 > length or options[place] == 0:
            return data
        if options[place] == 1:
            place += 1
            continue
        size = options[place + 1]
        if size < 2:
            return data
        if options[place] == 2 and size == 4:
            mss = u16(options, place + 2)
            return data if mss <= limit else _lower_mss(packet, place, mss, limit)
        place += size
    return data


def _lower_mss(packet: Packet, place: int, mss: int, limit: int) -> bytes:
    data, at = packet.data, packet.l4
    where = at + TCP + place + 2
    check = update_checksum(u16(data, at + 16), mss, limit, odd=bool(place & 1))
    data = data[:where] + struct.pack("!H", limit) + data[where + 2 :]
    return data[: at + 16] + struct.pack("!H", check) + data[at + 18 :]
