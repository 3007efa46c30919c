"""ICMP errors about a subflow that never was, as fast as one thread sends them, until it is ended."""

import argparse
import itertools
import socket
import struct

from balancer.model.reference.checksum import checksum

TCP, UNREACHABLE, FRAGMENTATION_NEEDED = 6, 3, 4
CLIENT = bytes((198, 51, 100, 7))  # of the made-up subflows (RFC 5737)


def make_error(vip: bytes, locator: int, client_port: int) -> bytes:
    """Return an ICMP message that quotes a segment from the locator (RFC 792)."""
    quoted = struct.pack("!BBHHHBBH", 0x45, 0, 1500, 0, 0x4000, 64, TCP, 0) + vip + CLIENT
    quoted += struct.pack("!HHI", locator, client_port, 0)
    message = struct.pack("!BBHHH", UNREACHABLE, FRAGMENTATION_NEEDED, 0, 0, 600) + quoted
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def main() -> None:
    parser = argparse.ArgumentParser(description="Flood an owner with ICMP errors.")
    parser.add_argument("vip")
    parser.add_argument("locator", type=int)
    parser.add_argument("--interface", required=True)
    options = parser.parse_args()
    vip = socket.inet_aton(options.vip)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, options.interface.encode())
        print("ready", flush=True)
        for number in itertools.count():
            raw.sendto(make_error(vip, options.locator, 1024 + number % 60_000), (options.vip, 0))


if __name__ == "__main__":
    main()
