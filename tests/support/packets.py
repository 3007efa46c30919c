"""Build packets: Ethernet, IPv4, TCP, with whatever is wrong about them."""

import struct
from ipaddress import IPv4Address

from balancer.model.rewrite import checksum

CLIENT, VIP = "198.51.100.7", "203.0.113.1"
SYN, ACK, RST = 2, 16, 4


def tcp(
    source: str = CLIENT,
    destination: str = VIP,
    source_port: int = 40000,
    port: int = 443,
    flags: int = ACK,
    sequence: int = 1000,
    options: bytes = b"",
    data: bytes = b"",
    ip_options: bytes = b"",
    fragment: int = 0,
    tos: int = 0,
) -> bytes:
    """One valid packet (checksums right) with the given fields."""
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    head = struct.pack("!HHII", source_port, port, sequence, 0)
    head += struct.pack("!BBHHH", (5 + len(options) // 4) << 4, flags, 65000, 0, 0) + options
    pseudo = addresses + struct.pack("!BBH", 0, 6, len(head) + len(data))
    head = head[:16] + struct.pack("!H", checksum(pseudo + head + data)) + head[18:]
    return ethernet(ip(addresses, 6, head + data, ip_options, fragment, tos))


def ip(
    addresses: bytes, protocol: int, payload: bytes, options: bytes = b"", fragment: int = 0, tos: int = 0
) -> bytes:
    length = 20 + len(options) + len(payload)
    first = 0x40 | (5 + len(options) // 4)
    head = struct.pack("!BBHHHBBH", first, tos, length, 7, fragment, 61, protocol, 0) + addresses + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ethernet(payload: bytes) -> bytes:
    return bytes.fromhex("020000000001020000000002") + b"\x08\x00" + payload


def tunnelled(
    inner: bytes, source: str = "10.255.0.2", destination: str = "10.255.0.1", **fields: int
) -> bytes:
    """`inner` (with its Ethernet header) inside IPIP."""
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    given = {name: fields[name] for name in ("fragment", "tos") if name in fields}
    return ethernet(ip(addresses, fields.get("protocol", 4), inner[14:], **given))


def icmp_error(
    quoted: bytes, destination: str = VIP, kind: int = 3, code: int = 4, router: str = "192.0.2.254"
) -> bytes:
    """A router's error about `quoted` (with its Ethernet header), of which it quotes the first bytes (RFC 792)."""
    addresses = IPv4Address(router).packed + IPv4Address(destination).packed
    message = struct.pack("!BBHHH", kind, code, 0, 0, 1400) + quoted[14 : 14 + 48]
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return ethernet(ip(addresses, 1, message))


def tcp_checksum_holds(packet: bytes) -> bool:
    header = packet[14:]
    start = (header[0] & 15) * 4
    segment = header[start : int.from_bytes(header[2:4], "big")]
    return checksum(header[12:20] + struct.pack("!BBH", 0, 6, len(segment)) + segment) == 0
