"""What the forwarder does to packets, in Python: outer headers, the MSS option, resets. As the C headers do."""

import struct
from ipaddress import IPv4Address

ETHERNET, IPV4, TCP = 14, 20, 20
IPIP, TCP_PROTOCOL = 4, 6
FIN, SYN, RST, ACK = 1, 2, 4, 16
TTL = 64
DONT_FRAGMENT = 0x4000
CONGESTION = 3  # the ECN field's CE (RFC 3168)


def u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of data padded to an even length."""
    data += b"\0" * (len(data) % 2)
    total = int(sum(struct.unpack(f"!{len(data) // 2}H", data)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def encapsulate(packet: bytes, source: str, destination: str) -> bytes:
    """Put the outer header on (RFC 2003; ECN by RFC 6040 normal mode)."""
    inner = packet[ETHERNET:]
    length = (u16(inner, 2) + IPV4) & 0xFFFF
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    outer = struct.pack("!BBHHHBBH", 0x45, inner[1], length, 0, DONT_FRAGMENT, TTL, IPIP, 0) + addresses
    outer = outer[:10] + struct.pack("!H", checksum(outer)) + outer[12:]
    return packet[:ETHERNET] + outer + inner


def decapsulate(packet: bytes) -> bytes:
    """Take the outer header off; congestion met on the way goes into the inner one (RFC 6040 section 4.2)."""
    outer, inner = packet[ETHERNET : ETHERNET + IPV4], packet[ETHERNET + IPV4 :]
    tos = inner[1] | CONGESTION
    if outer[1] & CONGESTION == CONGESTION and tos != inner[1]:
        mended = _mend(u16(inner, 10), inner[1], tos, odd=False)
        inner = inner[:1] + bytes([tos]) + inner[2:10] + struct.pack("!H", mended) + inner[12:]
    return packet[:ETHERNET] + inner


def clamp_mss(packet: bytes, at: int, limit: int) -> bytes:
    """Lower the MSS option of a SYN whose TCP header begins at `at`, and mend the checksum."""
    length = (packet[at + 12] >> 4) * 4 - TCP
    if not packet[at + 13] & SYN or not 4 <= length <= 40 or len(packet) < at + TCP + length:
        return packet
    options = packet[at + TCP : at + TCP + length]
    place = 0
    for _ in range(12):
        if place + 4 > length or options[place] == 0:
            return packet
        if options[place] == 1:
            place += 1
            continue
        size = options[place + 1]
        if size < 2:
            return packet
        if options[place] == 2 and size == 4:
            told = u16(options, place + 2)
            if told <= limit:
                return packet
            where = at + TCP + place + 2
            mended = _mend(u16(packet, at + 16), told, limit, odd=bool(place & 1))
            packet = packet[:where] + struct.pack("!H", limit) + packet[where + 2 :]
            return packet[: at + 16] + struct.pack("!H", mended) + packet[at + 18 :]
        place += size
    return packet


def _mend(check: int, was: int, now: int, *, odd: bool) -> int:
    """RFC 1624, equation 3; two bytes at an odd offset count swapped."""
    if odd:
        was, now = (((value & 0xFF) << 8) | value >> 8 for value in (was, now))
    total = (~check & 0xFFFF) + (~was & 0xFFFF) + now
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def reset(packet: bytes, at: int) -> bytes:
    """The RST that answers the SYN in `packet` (RFC 9293 section 3.10.7.1)."""
    ip = packet[ETHERNET:]
    data = u16(ip, 2) - (ip[0] & 15) * 4 - (packet[at + 12] >> 4) * 4
    acknowledged = int.from_bytes(packet[at + 4 : at + 8], "big") + data + 1 + (packet[at + 13] & FIN)
    addresses = ip[16:20] + ip[12:16]
    header = struct.pack("!BBHHHBBH", 0x45, 0, IPV4 + TCP, 0, DONT_FRAGMENT, TTL, TCP_PROTOCOL, 0) + addresses
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    ports = packet[at + 2 : at + 4] + packet[at : at + 2]
    tcp = ports + struct.pack("!IIBBHHH", 0, acknowledged & 0xFFFFFFFF, 5 << 4, RST | ACK, 0, 0, 0)
    pseudo = addresses + struct.pack("!BBH", 0, TCP_PROTOCOL, TCP)
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    return packet[6:12] + packet[0:6] + packet[12:14] + header + tcp
