"""Write seeds from the vectors and from what the kernel sends: `python tests/fuzz/seeds.py`.

They go where new inputs go, to `.fuzz/TARGET`; `--minimise` then takes over what the corpus lacks.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.name
import dns.rrset

HERE = Path(__file__).parent
VECTORS = sorted((HERE.parent / "vectors").glob("*.json"))


def frames() -> Iterator[bytes]:
    """Each message, with the byte that says how it is cut: in one piece, handshake messages only."""
    for vector in map(json.loads, (path.read_text() for path in VECTORS)):
        messages = [
            value
            for name, value in vector["messages"].items()
            if name not in ("hellos", "client_info", "server_info")
        ]
        yield from (b"\xff" + bytes.fromhex(message) for message in messages)
        yield from (b"\xff" + bytes.fromhex(vector["join"][name]) for name in ("join", "join_challenge"))
        yield b"\xfe" + bytes.fromhex(vector["controls"][0]["frame"] + vector["records"][0]["frame"])
        yield b"\xfe" + b"".join(bytes.fromhex(message["frame"]) for message in vector["step"]["messages"])
        yield b"\xfe" + bytes.fromhex(vector["step"]["changed"][0]["switch"])


def items() -> Iterator[bytes]:
    for vector in map(json.loads, (path.read_text() for path in VECTORS)):
        yield from (bytes.fromhex(control["items"]) for control in vector["controls"])
        yield from (bytes.fromhex(message["body"]) for message in vector["step"]["messages"])
        yield bytes.fromhex(vector["messages"].get("server_info", ""))
        if vector["mode"] == "TOFU":
            share = bytes.fromhex(vector["messages"]["server_share"])
            given = bytes.fromhex(vector["inputs"].get("given_name_key", ""))
            options = 2 + (4 + len(given) if given else 0)
            yield share[-options - 155 : -options]  # the certificate
            yield given


def netlink() -> Iterator[bytes]:
    """The kernel's event of an ADD_ADDR, for both families."""
    for kind, address in ((7, bytes([203, 0, 113, 1])), (8, bytes(15) + b"\1")):
        fields = struct.pack("=HHI", 8, 1, 77) + struct.pack("=HH", 4 + len(address), kind) + address
        body = struct.pack("=BBH", 6, 1, 0) + fields + struct.pack("=HHHH", 6, 10, 0x1127, 0)
        yield struct.pack("=IHHII", 16 + len(body), 30, 0, 0, 0) + body


def names() -> Iterator[bytes]:
    """Answers about service records, whole, with an alias, empty and failed; resolvers as users write them."""
    name = dns.name.from_text("_smkex.cdn.example")
    query = dns.message.make_query(name, "SVCB", use_edns=0, id=0)
    digest = 'key65282="' + "x" * 32 + '"'
    for kind, data in (
        ("SVCB", "1 cdn.example. port=8443 key65280=\\002 key65281=NN"),
        ("SVCB", f"1 . mandatory=port port=1 {digest}"),
        ("SVCB", "0 edges.example."),
        ("SVCB", "1 a.example. ipv4hint=192.0.2.1 alpn=h2"),
        ("CNAME", "_smkex.cdn.example."),
        ("A", "192.0.2.1"),
    ):
        answer = dns.message.make_response(query)
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, data))
        yield answer.to_wire()
    yield dns.message.make_response(query).to_wire()
    yield b"192.0.2.53"
    yield b"tls://[2001:db8::53]:853#dns.example"
    yield b"https://192.0.2.53/dns-query#sha256//" + base64.b64encode(bytes(32))


def write() -> None:
    for target in (frames, items, names, netlink):
        folder = HERE.parents[1] / ".fuzz" / target.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for seed in target():
            (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


if __name__ == "__main__":
    write()
