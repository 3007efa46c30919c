"""Flow hashes, as datapath/c/flow.h computes them."""

import struct

from balancer.model.reference.packet import TCP_PROTOCOL, Packet

WORD = 0xFFFFFFFF


def flow_hash(packet: Packet, seed: int = 0) -> int:
    """Hash addresses and ports to 32 bits (MurmurHash3)."""
    first, second = packet.ports if packet.protocol == TCP_PROTOCOL else (0, 0)
    return _hash_flow(seed, packet.version, packet.source, packet.destination, first << 16 | second)


def flow_hash_back(packet: Packet, seed: int = 0) -> int:
    """Return flow_hash of the packets in the opposite direction."""
    first, second = packet.ports
    return _hash_flow(seed, packet.version, packet.destination, packet.source, second << 16 | first)


def ring_hash(packet: Packet, seed: tuple[int, int]) -> int:
    """Hash a flow with both words of a ring's seed, of packets from the client."""
    return _finish_ring(flow_hash(packet, seed[0]), seed[1])


def ring_hash_back(packet: Packet, seed: tuple[int, int]) -> int:
    """Return ring_hash of the packets in the opposite direction."""
    return _finish_ring(flow_hash_back(packet, seed[0]), seed[1])


def _finish_ring(hashed: int, second: int) -> int:
    return _hash_finish(hashed ^ second) if second else hashed


def _hash_flow(seed: int, version: int, source: bytes, destination: bytes, ports: int) -> int:
    # words in host byte order, as in C
    words = [*struct.unpack("=4I", source), *struct.unpack("=4I", destination)]
    hashed = seed
    for word in [*(words if version == 6 else (words[3], words[7])), ports]:
        hashed = _hash_mix(hashed, word)
    return _hash_finish(hashed)


def _hash_finish(hashed: int) -> int:
    hashed ^= hashed >> 16
    hashed = hashed * 0x85EBCA6B & WORD
    hashed ^= hashed >> 13
    hashed = hashed * 0xC2B2AE35 & WORD
    return hashed ^ hashed >> 16


def _hash_mix(hashed: int, word: int) -> int:
    word = word * 0xCC9E2D51 & WORD
    word = (word << 15 | word >> 17) & WORD
    hashed ^= word * 0x1B873593 & WORD
    hashed = (hashed << 13 | hashed >> 19) & WORD
    return (hashed * 5 + 0xE6546B64) & WORD
