"""Reading and checking headers, in Python: IPv4 and IPv6, TCP, and what ICMP errors quote. As datapath/c/packet.h.

Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

ETHERNET, IPV4, IPV6, TCP, ICMP = 14, 20, 40, 20, 8
TCP_PROTOCOL, UDP_PROTOCOL, ICMP_PROTOCOL, ICMPV6_PROTOCOL, FRAGMENT_HEADER = 6, 17, 1, 58, 44
FIN, SYN, RST, ACK = 1, 2, 4, 16
ETHERTYPES = {b"\x08\x00": 4, b"\x86\xdd": 6}
ICMP_ERRORS = {ICMP_PROTOCOL: (3, 11, 12), ICMPV6_PROTOCOL: (1, 2, 3, 4)}  # RFC 792, RFC 4443
# hop-by-hop, routing, AH, destination options, mobility, HIP, Shim6
EXTENSIONS = frozenset((0, 43, 51, 60, 135, 139, 140))
V4_PREFIX = bytes(10) + b"\xff\xff"


def u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


@lru_cache(maxsize=1 << 17)  # a large table's, from one generation to the next
def mapped_address(address: str | IPv4Address | IPv6Address) -> bytes:
    """The 16 bytes of an address of either version."""
    value = ip_address(address)
    return V4_PREFIX + value.packed if value.version == 4 else value.packed


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet in `data`; `l3` and `l4` say where it and what it carries begin."""

    data: bytes
    l3: int
    l4: int
    version: int
    protocol: int
    tos: int
    length: int
    fragment: bool
    source: bytes
    destination: bytes

    @property
    def ports(self) -> tuple[int, int]:
        return u16(self.data, self.l4), u16(self.data, self.l4 + 2)

    @property
    def flags(self) -> int:
        return self.data[self.l4 + 13]

    @property
    def tcp_header(self) -> int:
        return (self.data[self.l4 + 12] >> 4) * 4

    @property
    def has_options(self) -> bool:
        """Whether the IP header is longer than it must be."""
        return self.l4 - self.l3 != (IPV4 if self.version == 4 else IPV6)

    def opens_flow(self) -> bool:
        """Whether this is the first SYN of a connection."""
        return self.flags & (SYN | ACK | RST) == SYN

    def has_tcp(self) -> bool:
        """Whether a whole TCP header is there, and the lengths agree."""
        if len(self.data) < self.l4 + TCP or self.tcp_header < TCP:
            return False
        return self.l4 - self.l3 + self.tcp_header <= self.length <= len(self.data) - self.l3

    def carries_icmp(self) -> bool:
        return self.protocol == (ICMP_PROTOCOL if self.version == 4 else ICMPV6_PROTOCOL)

    def has_extension(self) -> bool:
        """Whether IPv6 extension headers follow, behind which the kernel would look for TCP."""
        return self.version == 6 and self.protocol in EXTENSIONS

    def is_martian(self) -> bool:
        """Whether no client beyond the link can have sent this (RFC 6890, RFC 9293 section 3.9.2.3)."""
        if self.source == self.destination:
            return True
        if self.version == 4:
            source = self.source[12:]
            return source[0] in (0, 127) or source[0] >= 224 or source[:2] == bytes((169, 254))
        mapped = V4_PREFIX in (self.source[:12], self.destination[:12])
        local = self.source[0] == 0xFF or u16(self.source, 0) & 0xFFC0 == 0xFE80
        return mapped or local or self.source[:12] == bytes(12)

    def quoted(self) -> "Packet | None":
        """The TCP segment that an ICMP error quotes, if its receiver sent it; None for anything else."""
        if not self.carries_icmp() or len(self.data) < self.l4 + ICMP:
            return None
        if self.data[self.l4] not in ICMP_ERRORS[self.protocol]:
            return None
        quoted = read_ip(self.data, self.l4 + ICMP, self.version)
        if quoted is None or quoted.source != self.destination or quoted.protocol != TCP_PROTOCOL:
            return None
        if quoted.version == 4 and u16(self.data, quoted.l3 + 6) & 0x1FFF:
            return None  # only the first fragment has the ports
        return quoted if len(self.data) >= quoted.l4 + 4 else None


def read_frame(frame: bytes) -> Packet | None:
    """The IP packet in an Ethernet frame; None for anything else, tagged frames too."""
    version = ETHERTYPES.get(frame[12:14])
    return read_ip(frame, ETHERNET, version) if version else None


def read_ip(data: bytes, at: int, version: int) -> Packet | None:
    """The IP packet that begins at `at`, if its header is whole and of the version."""
    return _read_v4(data, at) if version == 4 else _read_v6(data, at)


def _read_v4(data: bytes, at: int) -> Packet | None:
    header = data[at : at + IPV4]
    if len(header) < IPV4 or header[0] >> 4 != 4 or header[0] & 15 < 5:
        return None
    return Packet(
        data,
        at,
        at + (header[0] & 15) * 4,
        4,
        header[9],
        header[1],
        u16(header, 2),
        u16(header, 6) & 0x3FFF != 0,
        V4_PREFIX + header[12:16],
        V4_PREFIX + header[16:20],
    )


def _read_v6(data: bytes, at: int) -> Packet | None:
    header = data[at : at + IPV6]
    if len(header) < IPV6 or header[0] >> 4 != 6:
        return None
    return Packet(
        data,
        at,
        at + IPV6,
        6,
        header[6],
        u16(header, 0) >> 4 & 0xFF,
        IPV6 + u16(header, 4),
        header[6] == FRAGMENT_HEADER,
        header[8:24],
        header[24:40],
    )
