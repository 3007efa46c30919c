"""A number that is the same for all packets of a flow, as datapath/c/flow.h computes it."""

import struct

from balancer.model.packet import TCP_PROTOCOL, Packet

WORD = 0xFFFFFFFF


def flow_hash(packet: Packet, seed: int = 0) -> int:
    """32 bits over addresses and ports (MurmurHash3's steps)."""
    # words as this machine loads them from the packet, which is what the C side does
    source, destination = struct.unpack("=4I", packet.source), struct.unpack("=4I", packet.destination)
    words = [source[3], destination[3]]
    if packet.version == 6:
        words += [*source[:3], *destination[:3]]
    first, second = packet.ports if packet.protocol == TCP_PROTOCOL else (0, 0)
    hashed = seed
    for word in [*words, first << 16 | second]:
        hashed = _stir(hashed, word)
    hashed ^= hashed >> 16
    hashed = hashed * 0x85EBCA6B & WORD
    hashed ^= hashed >> 13
    hashed = hashed * 0xC2B2AE35 & WORD
    return hashed ^ hashed >> 16


def _stir(hashed: int, word: int) -> int:
    word = word * 0xCC9E2D51 & WORD
    word = (word << 15 | word >> 17) & WORD
    hashed ^= word * 0x1B873593 & WORD
    hashed = (hashed << 13 | hashed >> 19) & WORD
    return (hashed * 5 + 0xE6546B64) & WORD
