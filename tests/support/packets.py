"""Build packets: Ethernet, IPv4 or IPv6, TCP, with whatever is wrong about them."""

import struct
from ipaddress import ip_address

from balancer.model.reference.checksum import checksum

CLIENT, VIP = "198.51.100.7", "203.0.113.1"
CLIENT6, VIP6 = "2001:db8:c::7", "2001:db8:5e::1"
SYN, ACK, RST = 2, 16, 4
TYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
NUMBERS = {4: 4, 6: 41}
GUE_PORT = 6080


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
    """One valid packet (checksums right) with the given fields; both addresses of one version."""
    head = struct.pack("!HHII", source_port, port, sequence, 0)
    head += struct.pack("!BBHHH", (5 + len(options) // 4) << 4, flags, 65000, 0, 0) + options
    pseudo = addresses(source, destination) + struct.pack("!HH", 6, len(head) + len(data))
    head = head[:16] + struct.pack("!H", checksum(pseudo + head + data)) + head[18:]
    return frame(source, destination, 6, head + data, ip_options, fragment, tos)


def addresses(source: str, destination: str) -> bytes:
    return ip_address(source).packed + ip_address(destination).packed


def frame(
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    options: bytes = b"",
    fragment: int = 0,
    tos: int = 0,
) -> bytes:
    """Ethernet and IP around a payload. In IPv6 `fragment` makes a fragment header, and there are no options."""
    if ip_address(source).version == 4:
        return ethernet(ip(addresses(source, destination), protocol, payload, options, fragment, tos))
    if fragment & 0x3FFF:
        payload = struct.pack("!BBHI", protocol, 0, (fragment & 0x1FFF) << 3 | 1, 7) + payload
        protocol = 44
    head = struct.pack("!IHBB", 6 << 28 | tos << 20 | 0x12345, len(payload), protocol, 61)
    return ethernet(head + addresses(source, destination) + payload, 6)


def ip(
    pair: bytes, protocol: int, payload: bytes, options: bytes = b"", fragment: int = 0, tos: int = 0
) -> bytes:
    length = 20 + len(options) + len(payload)
    first = 0x40 | (5 + len(options) // 4)
    head = struct.pack("!BBHHHBBH", first, tos, length, 7, fragment, 61, protocol, 0) + pair + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ethernet(payload: bytes, version: int = 4) -> bytes:
    return bytes.fromhex("020000000001020000000002") + TYPES[version] + payload


def tunnelled(
    inner: bytes,
    source: str = "10.255.0.2",
    destination: str = "10.255.0.1",
    gue: bytes | None = None,
    fragment: int = 0,
    tos: int = 0,
    protocol: int | None = None,
    options: bytes = b"",
) -> bytes:
    """`inner` (with its Ethernet header) in IP in IP, or behind the four bytes of a GUE header."""
    payload = inner[14:]
    number = 41 if inner[12:14] == TYPES[6] else 4
    if gue is not None:
        udp = struct.pack("!HHHH", 50000, GUE_PORT, 12 + len(payload), 0)
        payload, number = udp + gue + payload, 17
    number = number if protocol is None else protocol
    return frame(source, destination, number, payload, options, fragment, tos)


def gue_header(inner: bytes) -> bytes:
    """What a right GUE header (variant 0) before `inner` is."""
    return struct.pack("!BBH", 0, 41 if inner[12:14] == TYPES[6] else 4, 0)


def icmp_error(
    quoted: bytes,
    destination: str = VIP,
    kind: int = 3,
    code: int = 4,
    router: str = "192.0.2.254",
    router6: str = "2001:db8:f::fe",
) -> bytes:
    """A router's error about `quoted` (with its Ethernet header), of which it quotes the first bytes (RFC 792)."""
    if ip_address(destination).version == 6:
        message = struct.pack("!BBHI", kind, code, 0, 1400) + quoted[14 : 14 + 96]
        pseudo = addresses(router6, destination) + struct.pack("!II", len(message), 58)
        message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
        return frame(router6, destination, 58, message)
    message = struct.pack("!BBHHH", kind, code, 0, 0, 1400) + quoted[14 : 14 + 48]
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return frame(router, destination, 1, message)


def tcp_checksum_holds(packet: bytes) -> bool:
    """Of a frame without a tunnel, of either version."""
    header = packet[14:]
    if packet[12:14] == TYPES[6]:
        segment = header[40 : 40 + int.from_bytes(header[4:6], "big")]
        return checksum(header[8:40] + struct.pack("!HH", 6, len(segment)) + segment) == 0
    start = (header[0] & 15) * 4
    segment = header[start : int.from_bytes(header[2:4], "big")]
    return checksum(header[12:20] + struct.pack("!BBH", 0, 6, len(segment)) + segment) == 0
