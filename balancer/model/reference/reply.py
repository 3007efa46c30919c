"""Replies on behalf of a packet's destination: resets, and "packet too big". As datapath/c/reply.h."""

import struct

from balancer.model.reference.checksum import checksum
from balancer.model.reference.packet import (
    ACK,
    FIN,
    ICMP_PROTOCOL,
    ICMPV6_PROTOCOL,
    IPV4,
    IPV6,
    RST,
    TCP,
    TCP_PROTOCOL,
    Packet,
)
from balancer.model.reference.tunnel import DONT_FRAGMENT, TTL

QUOTED_TCP = 8  # bytes of the TCP header that an ICMP error quotes


def reset(packet: Packet) -> bytes:
    """Return the frame of the RST to a SYN (RFC 9293 section 3.10.7.1)."""
    tcp = packet.data[packet.l4 :]
    data = packet.length - (packet.l4 - packet.l3) - packet.tcp_header
    acknowledged = int.from_bytes(tcp[4:8], "big") + data + 1 + (packet.flags & FIN)
    header = tcp[2:4] + tcp[0:2]
    header += struct.pack("!IIBBHHH", 0, acknowledged & 0xFFFFFFFF, 5 << 4, RST | ACK, 0, 0, 0)
    addresses = packet.destination + packet.source
    pseudo = addresses if packet.version == 6 else addresses[12:16] + addresses[28:32]
    check = checksum(pseudo + struct.pack("!HH", TCP_PROTOCOL, TCP) + header)
    header = header[:16] + struct.pack("!H", check) + header[18:]
    return swap_ethernet(packet) + answer_header(packet, TCP_PROTOCOL, len(header)) + header


def too_big(packet: Packet, mtu: int) -> bytes:
    """Return the frame that notifies the sender of the MTU (RFC 1191, RFC 4443 section 3.2)."""
    quoted = packet.data[packet.l3 :][: (IPV4 if packet.version == 4 else IPV6) + QUOTED_TCP]
    if packet.version == 4:
        kind, protocol, pseudo = b"\x03\x04", ICMP_PROTOCOL, b""
    else:
        kind, protocol = b"\x02\x00", ICMPV6_PROTOCOL
        pseudo = packet.destination + packet.source + struct.pack("!II", 8 + len(quoted), protocol)
    rest = struct.pack("!I", mtu) + quoted
    message = kind + struct.pack("!H", checksum(pseudo + kind + bytes(2) + rest)) + rest
    return swap_ethernet(packet) + answer_header(packet, protocol, len(message)) + message


def swap_ethernet(packet: Packet) -> bytes:
    """Return the Ethernet header with swapped addresses."""
    return packet.data[6:12] + packet.data[0:6] + packet.data[12:14]


def answer_header(packet: Packet, protocol: int, length: int) -> bytes:
    """Return the IP header of a reply with `length` bytes, from the packet's destination to its source."""
    if packet.version == 6:
        head = struct.pack("!IHBB", 6 << 28, length, protocol, TTL)
        return head + packet.destination + packet.source
    head = struct.pack("!BBHHHBBH", 0x45, 0, IPV4 + length, 0, DONT_FRAGMENT, TTL, protocol, 0)
    head += packet.destination[12:] + packet.source[12:]
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]
