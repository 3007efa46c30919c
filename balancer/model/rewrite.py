"""What the forwarder does to TCP headers, in Python: the MSS option, resets. As datapath/c/mss.h and reset.h."""

import struct

from balancer.model.checksum import checksum, mend
from balancer.model.packet import ACK, FIN, IPV4, RST, SYN, TCP, TCP_PROTOCOL, Packet, u16
from balancer.model.tunnel import DONT_FRAGMENT, TTL

MSS_TRIES = 12  # options looked at


def clamp_mss(packet: Packet, limit: int) -> bytes:
    """Lower the MSS option of a SYN, and mend the checksum; return the frame."""
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
            told = u16(options, place + 2)
            return data if told <= limit else _lowered(packet, place, told, limit)
        place += size
    return data


def _lowered(packet: Packet, place: int, told: int, limit: int) -> bytes:
    data, at = packet.data, packet.l4
    where = at + TCP + place + 2
    check = mend(u16(data, at + 16), told, limit, odd=bool(place & 1))
    data = data[:where] + struct.pack("!H", limit) + data[where + 2 :]
    return data[: at + 16] + struct.pack("!H", check) + data[at + 18 :]


def reset(packet: Packet) -> bytes:
    """The RST that answers a SYN (RFC 9293 section 3.10.7.1); the frame."""
    tcp = packet.data[packet.l4 :]
    data = packet.length - (packet.l4 - packet.l3) - packet.tcp_header
    acknowledged = int.from_bytes(tcp[4:8], "big") + data + 1 + (packet.flags & FIN)
    header = tcp[2:4] + tcp[0:2]
    header += struct.pack("!IIBBHHH", 0, acknowledged & 0xFFFFFFFF, 5 << 4, RST | ACK, 0, 0, 0)
    addresses = packet.destination + packet.source
    pseudo = addresses if packet.version == 6 else addresses[12:16] + addresses[28:32]
    check = checksum(pseudo + struct.pack("!HH", TCP_PROTOCOL, TCP) + header)
    header = header[:16] + struct.pack("!H", check) + header[18:]
    return turned_around(packet) + answer_header(packet, TCP_PROTOCOL, len(header)) + header


def turned_around(packet: Packet) -> bytes:
    """The Ethernet header of an answer."""
    return packet.data[6:12] + packet.data[0:6] + packet.data[12:14]


def answer_header(packet: Packet, protocol: int, length: int) -> bytes:
    """The IP header of an answer that carries `length` bytes: from whom the packet was for, to who sent it."""
    if packet.version == 6:
        head = struct.pack("!IHBB", 6 << 28, length, protocol, TTL)
        return head + packet.destination + packet.source
    head = struct.pack("!BBHHHBBH", 0x45, 0, IPV4 + length, 0, DONT_FRAGMENT, TTL, protocol, 0)
    head += packet.destination[12:] + packet.source[12:]
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]
